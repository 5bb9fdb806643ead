"""Backtests from the page: forms, jobs in processes of their own, and what came of them."""
