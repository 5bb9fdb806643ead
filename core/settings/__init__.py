"""What config.py is built on: values, names and texts of settings, whichever they are."""
