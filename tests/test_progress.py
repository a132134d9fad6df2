"""Stages are told of to whoever wants to know of them, and nobody else is bothered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vlmforge.progress import Stage, Stages, duration, in_stage


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def __call__(self, text: str, done: int, total: int) -> None:
        self.told.append((text, done, total))

    def expect(self, stages: Sequence[Stage]) -> None:
        self.told.append(list(stages))

    def begin(self, name: str) -> None:
        self.told.append(f"begin {name}")

    def end(self, name: str) -> None:
        self.told.append(f"end {name}")


def test_a_stage_begins_and_ends() -> None:
    listener = Listener()
    assert isinstance(listener, Stages)
    with in_stage(listener, "mblt"):
        listener("tracing", 1, 2)
    assert listener.told == ["begin mblt", ("tracing", 1, 2), "end mblt"]


def test_a_stage_that_fails_does_not_end() -> None:
    listener = Listener()
    with pytest.raises(ZeroDivisionError), in_stage(listener, "mblt"):
        _ = 1 // 0
    assert listener.told == ["begin mblt"]


def test_a_function_is_told_of_no_stages() -> None:
    told: list[tuple[str, int, int]] = []
    with in_stage(lambda *step: told.append(step), "mblt"), in_stage(None, "mxq"):
        pass
    assert told == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
