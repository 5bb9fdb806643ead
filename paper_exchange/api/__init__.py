"""Deribit's JSON-RPC methods over a market and an account."""
