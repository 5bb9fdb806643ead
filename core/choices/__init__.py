"""What could be done in a state, and how good each of it is, in points."""
