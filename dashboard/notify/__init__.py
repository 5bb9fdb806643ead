"""Messages about what stands in the log: `python -m dashboard.notify`. The agent itself talks to nobody new."""
