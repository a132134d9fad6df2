"""Runs a package: preprocessing, sessions, generation and evaluation, without torch."""
