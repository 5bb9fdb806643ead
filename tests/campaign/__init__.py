"""The fault campaign: the real agent against the paper exchange, with everything between them allowed to break."""
