"""Values come back as they were kept, and keeping them takes little of the time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlmforge.errors import SystemFailure
from vlmforge.formats import kept_file
from vlmforge.formats.container import ContainerWriter
from vlmforge.formats.kept import clear_kept
from vlmforge.formats.kept_file import KeptFile, KeptState
from vlmforge.formats.stage import NOTE, TEXT


@dataclass
class Pair:
    first: torch.Tensor
    second: np.ndarray | None


def test_values_come_back(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "new" / "a.kept", "digest")
    many = np.arange(12, dtype=np.int16).reshape(3, 4)[:, ::2]
    file.write({"named": Pair(torch.ones(2, 3, dtype=torch.int8), many), "array": [1, [2.5, None]]})
    found = file.read()
    assert found["array"] == [1, [2.5, None]] and found.keys() == {"named", "array"}
    first, second = found["named"]["first"], found["named"]["second"]
    assert first.dtype == torch.int8 and torch.equal(first, torch.ones(2, 3, dtype=torch.int8))
    assert second.dtype == np.int16 and np.array_equal(second, many)
    second += 1


@pytest.mark.parametrize("values", [[], {}, [[1, 2], [3]], {"a": torch.empty(0, 3)}, "text", 7])
def test_so_do_those_without_elements(tmp_path: Path, values: Any) -> None:
    file = KeptFile(tmp_path / "a.kept", "digest")
    file.write(values)
    found = file.read()
    if isinstance(values, dict) and values:
        assert found["a"].shape == (0, 3) and found["a"].dtype == torch.float32
    else:
        assert found == values


def test_nothing_comes_of_another_digest_or_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a.kept"
    assert KeptFile(path, "digest").read() is None
    KeptFile(path, "digest").write(np.ones(5))
    assert KeptFile(path, "another").read() is None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert KeptFile(path, "digest").read() is None
    path.write_bytes(data[:50])
    assert KeptFile(path, "digest").read() is None
    for document in ({}, {"digest": "digest"}, {"digest": "digest", "values": {"array": 0}}):
        with ContainerWriter(path, "kept") as writer:
            writer.finish(document)
        assert KeptFile(path, "digest").read() is None


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "language"
    KeptFile(folder / "passed.kept", "digest").write(1)
    left = folder / "passed.kept.partial-0123abcd"
    left.mkdir()
    (left / NOTE).write_bytes(TEXT)
    (left / "new").write_bytes(bytes(1000))
    clear_kept(folder)
    assert not (tmp_path / "kept").exists()


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_keeping_takes_a_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(kept_file, "time", clock)
    kept = list[float]()

    def written(file: KeptFile, values: object) -> None:
        clock.now += 0.3
        kept.append(clock.now)

    monkeypatch.setattr(KeptFile, "write", written)
    state = KeptState(KeptFile(tmp_path / "a.kept", "digest"))
    live = {"seen": Pair(torch.zeros(1).expand(24_000_000), None), "live": [{"x": np.zeros(10**6)}]}
    for _ in range(1000):
        clock.now += 0.1
        state.keep(live)
    assert kept[0] == pytest.approx(10.7, abs=0.2), "three tenths of a second are guessed"
    share = 0.3 * len(kept) / clock.now
    assert 0.5 * kept_file.SHARE < share <= kept_file.SHARE
    count = len(kept)
    state.keep(live)
    state.keep(live, last=True)
    assert len(kept) == count + 1


def test_a_state_that_cannot_be_kept_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: KeptFile, values: object) -> None:
        raise SystemFailure("the disk is full", where=tmp_path, mend="free some room")

    monkeypatch.setattr(KeptFile, "write", full)
    state = KeptState(KeptFile(tmp_path / "a.kept", "digest"))
    state.keep([1], last=True)
    state.keep([2], last=True)
    assert [record.message for record in caplog.records if "the disk is full" in record.message]
    assert len(caplog.records) == 1
