"""The first page: what is held, what happens next, what it earned, what it did and why."""
