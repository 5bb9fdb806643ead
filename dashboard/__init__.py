"""A page over logs and backtests: it reads, and has no way to an order."""
