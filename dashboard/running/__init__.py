"""For those who keep it running: /health and /metrics."""
