"""Builders and doubles that tests share."""
