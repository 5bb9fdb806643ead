"""The parts of the vector environment: a bank of market paths, accounts as columns, orders, the risk mask."""
