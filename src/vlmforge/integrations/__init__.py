"""Bridges from the ecosystem of other libraries to a running package."""
