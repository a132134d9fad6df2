"""The memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def private_resident() -> int | None:
    """Bytes of memory in use now that are of no file; None where the system does not tell."""
    return _field("RssAnon")


def peak_resident() -> int | None:
    """The most bytes of memory this process ever had in use, pages mapped from files included.

    None where the system does not tell.
    """
    told = _field("VmHWM")
    if told is not None:
        return told
    try:
        import resource
    except ImportError:  # as on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _field(name: str) -> int | None:
    """What Linux tells of this process, in bytes."""
    if STATUS.is_file():
        for line in STATUS.read_text("ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
