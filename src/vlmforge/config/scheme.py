"""Inference schemes."""

from __future__ import annotations

from enum import Enum


class InferenceScheme(str, Enum):
    """How the cores (CPU threads) of a machine share the work."""

    SINGLE = "single"
    """One core runs one request."""
    MULTI = "multi"
    """Cores run the requests of a batch side by side."""
    GLOBAL4 = "global4"
    """Four cores split every product by output channel."""
    GLOBAL8 = "global8"
    """Eight cores split every product by output channel."""
    ALL = "all"
    """Every scheme may be chosen when the program runs."""
