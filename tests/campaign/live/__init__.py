"""Catalogue rows that need a real process, socket or file."""
