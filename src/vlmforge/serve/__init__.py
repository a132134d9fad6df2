"""Many conversations at once, on one machine."""
