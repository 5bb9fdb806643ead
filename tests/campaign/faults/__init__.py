"""The fault catalogue and how each fault is injected."""
