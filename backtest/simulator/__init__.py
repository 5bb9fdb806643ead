"""A policy over a market and a period: simulation.py runs it, result.py is what comes out."""
