"""Every decision of a log, decided again by another policy."""
