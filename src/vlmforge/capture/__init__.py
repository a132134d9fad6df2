"""Captures the components of a checkpoint as graphs and checks them against the original."""
