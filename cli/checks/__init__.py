"""Parts of --check that take more than a line of code."""
