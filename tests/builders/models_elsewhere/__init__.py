"""Builders: a server that stands for a language model."""
