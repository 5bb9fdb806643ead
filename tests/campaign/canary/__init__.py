"""A made-up key that must be seen nowhere, and the guard over every socket."""
