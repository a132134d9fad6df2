"""What a call takes of memory at its height."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_growth(call: Callable[[], object]) -> int:
    """Bytes of resident memory that were in use at once in the call and were not before it."""
    if not PEAK.exists():
        pytest.skip("the system does not tell the peak of a part of a process")
    PEAK.write_text("5", "ascii")  # the peak begins anew
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = STATUS.read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024
