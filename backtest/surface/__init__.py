"""The modelled volatility surface and spread: coefficients, shape, corrections, fit and errors."""
