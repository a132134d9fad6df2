"""What all learning shares: it tells its cost, can be stopped, and keeps the best it met."""
