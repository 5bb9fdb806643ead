"""The parts of the environments for learning: rewards, actions by number, observations, pictures, the data sheet."""
