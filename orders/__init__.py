"""The life of an order: planned, written down before it leaves, found again after a failure."""
