"""A market modelled on hourly candles and DVOL, and the files it is read from."""
