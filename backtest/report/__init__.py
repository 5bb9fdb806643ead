"""What a run leaves to look at: files.py writes tables, page.py the report, text.py the summary in a terminal."""
