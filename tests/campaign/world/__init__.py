"""One schedule from its first request to its last: exchange, agent, clock, and what others do."""
