"""What an edited policy would have made on the decisions of a log: exact where it can be known, else weighted."""
