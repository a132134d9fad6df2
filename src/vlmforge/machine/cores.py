"""The cores of this computer that runs may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from vlmforge.errors import RunError

THREADS = "VLMFORGE_THREADS"
"""Environment variable with the number of cores to use."""


def cores() -> int:
    """The cores to use: as ``VLMFORGE_THREADS`` says, or all this process may run on.

    Raises:
        RunError: the variable is not a number from 1 to 1024.
    """
    text = os.environ.get(THREADS, "")
    if not text:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise RunError(f"{THREADS} is {text!r}", mend="set it to a number from 1 to 1024")
    return int(text)


def processor() -> str:
    """The name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
