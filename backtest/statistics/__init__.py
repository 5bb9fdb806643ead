"""Whether a result is more than luck: Sharpe ratios of many trials, overfitting, intervals, edits judged from logs."""
