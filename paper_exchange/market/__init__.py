"""What a source of quotes is: listings, quotes, names, clocks, calendar, and Deribit's errors."""
