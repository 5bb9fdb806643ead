"""What a year of daily closes says of a market: regime, ranks, ranges."""
