"""What a person types and sees: command line, setting up, console, doctor."""
