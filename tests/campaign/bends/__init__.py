"""Traces bent in one place, to test the checks."""
