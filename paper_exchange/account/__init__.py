"""The paper account: a pure state machine that holds coins, positions and orders."""
