"""Logs as data to learn from: a row a decision point."""
