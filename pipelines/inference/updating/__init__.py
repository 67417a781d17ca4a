"""Results that are brought up to date from those of an earlier run."""
