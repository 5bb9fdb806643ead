"""Mistakes planted in the real agent, which the checks must notice."""
