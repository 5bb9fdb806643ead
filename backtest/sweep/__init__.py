"""Many trials of settings and policies on one market, judged as what they are: many."""
