"""Questions about a log, answered from its lines: typed functions that read, and never make a number up."""
