"""The real testnet as a source of quotes."""
