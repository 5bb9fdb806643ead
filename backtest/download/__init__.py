"""Market data from Deribit's public API, as files that pandas opens: `python -m backtest.download`."""
