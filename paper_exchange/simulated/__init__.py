"""A market drawn from a seed."""
