"""Environment, and later simulator, replay and training data, on the agent's own engine."""
