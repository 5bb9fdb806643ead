"""Training mode: profiles side by side on one reading of the market."""
