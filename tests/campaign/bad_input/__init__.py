"""The rows of bad input, and the answer each must get."""
