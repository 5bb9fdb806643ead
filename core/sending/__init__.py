"""What every client does before and after an order."""
