"""Calibration: images, prompts, and what the model computes on them."""
