"""Tokens are read into caches, and chosen one after another."""
