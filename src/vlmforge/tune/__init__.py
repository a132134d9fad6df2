"""Chooses bits: the fewest bytes and products that keep within a budget of divergence."""
