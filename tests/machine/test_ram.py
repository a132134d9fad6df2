"""What a process may use of the memory is what its control groups leave of it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vlmforge.bench.memory import private_resident
from vlmforge.machine import ram


def grouped(
    monkeypatch: pytest.MonkeyPatch, root: Path, group: str, limits: dict[str, str]
) -> None:
    """A computer whose groups say so."""
    (root / "cgroup").write_text(group)
    for name, limit in limits.items():
        (root / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "mount" / name).write_text(limit)
    monkeypatch.setattr(ram, "GROUPS", root / "cgroup")
    monkeypatch.setattr(ram, "MOUNT", root / "mount")


@pytest.mark.parametrize(
    ("group", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "4096\n"}, 4096),
        ("0::/a/b\n", {"a/memory.max": "4096\n", "a/b/memory.max": "max\n"}, 4096),
        ("0::/a\n", {"a/memory.max": "8192\n", "memory.max": "4096\n"}, 4096),
        ("5:cpu,memory:/a\n", {"memory/a/memory.limit_in_bytes": "4096\n"}, 4096),
        ("0::/\n", {"memory.max": "max\n"}, 1 << 20),
        ("0::/\n", {"memory.max": str(1 << 60)}, 1 << 20),
        ("3:cpu:/a\n", {"a/memory.max": "4096"}, 1 << 20),
    ],
)
def test_the_least_limit_holds(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    group: str,
    limits: dict[str, str],
    expected: int,
) -> None:
    grouped(monkeypatch, tmp_path, group, limits)
    monkeypatch.setattr(ram, "physical_memory", lambda: 1 << 20)
    assert ram.usable_memory() == expected


def test_a_system_that_tells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ram, "GROUPS", tmp_path / "missing")
    monkeypatch.setattr(ram, "physical_memory", lambda: None)
    assert ram.usable_memory() is None


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the process's memory")
def test_what_was_freed_goes_back_though_later_blocks_stay() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("the C library has no malloc_trim")
    blocks = [np.ones(8000, np.float64) for _ in range(2000)]
    kept, before = blocks[-1], private_resident()
    del blocks
    ram.return_freed()
    after = private_resident()
    assert before is not None and after is not None
    assert before - after > 100_000_000 and kept.sum() == 8000


def test_other_c_libraries_keep_what_was_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    ram.return_freed()
