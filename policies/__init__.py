"""What surrounds a decision: how a policy is asked, and what its answer means."""
