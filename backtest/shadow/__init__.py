"""What shadow policies would have done, against the one that acted: python -m backtest.shadow LOGS."""
