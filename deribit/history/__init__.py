"""Series of the past: how charts are read, and which of them stand behind market context."""
