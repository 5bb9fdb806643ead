"""The dashboard on a log of a year: python -m tests.benchmarks.dashboard"""
