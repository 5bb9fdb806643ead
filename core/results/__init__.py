"""What came of it: pure sums over ledgers and states."""
