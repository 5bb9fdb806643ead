"""Speed figures, run by hand: python -m tests.benchmarks"""
