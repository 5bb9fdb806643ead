"""A market played back from recorded chains, and the writer of such recordings."""
