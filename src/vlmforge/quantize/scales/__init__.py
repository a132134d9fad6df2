"""Scales of activations."""
