"""What a process may use of the memory is what its control groups leave of it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
