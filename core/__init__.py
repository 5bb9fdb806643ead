"""What is computed from what was read: pure, no network, no disk, no clock, no dice."""
