"""Spoilt replies into the real client and the real agent."""
