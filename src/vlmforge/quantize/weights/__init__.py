"""Codes and scales of weights."""
