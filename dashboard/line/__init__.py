"""The page of a line of the log."""
