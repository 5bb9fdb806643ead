"""The agent killed with SIGKILL again and again."""
