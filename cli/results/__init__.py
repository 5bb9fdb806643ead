"""What was earned, as text."""
