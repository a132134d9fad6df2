"""Descriptors of files that are read, with the flags that each system has."""

from __future__ import annotations

import os

READING = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"):
    READING |= getattr(os, _name, 0)
"""No byte is translated, no child inherits it, and neither pipe nor terminal is waited for."""


def open_to_read(path: str | os.PathLike[str]) -> int:
    """A descriptor of whatever a path names; raises OSError."""
    return os.open(path, READING)
