"""The lines of a log folder, found quickly: an index beside the log, never a copy of it."""
