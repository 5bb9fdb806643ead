"""The vector environment, held against the engine."""
