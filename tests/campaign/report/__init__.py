"""Running many schedules, shrinking what failed, and the figures people read."""
