"""Both machines are timed doing the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from vlmforge.machine.machine import IMPLEMENTATIONS

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SPEED))
    import machines

    monkeypatch.setattr(machines, "DECODED", 2)
    monkeypatch.setattr(machines, "PROMPTS", (3,))
    return machines


@pytest.fixture
def printed(
    machines: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tiny_package: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """What the benchmark prints, given further words."""

    def call(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["machines.py", str(tiny_package), *words])
        machines.main()
        return capsys.readouterr().out

    return call


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native machine is not built")
class TestMachines:
    def test_every_round_has_both(self, printed: Callable[..., str]) -> None:
        found = json.loads(printed("--rounds", "2", "--json"))
        assert list(found) == ["decode", "prefill of 3", "image"]
        for rounds in found.values():
            assert [sorted(each) for each in rounds] == [["native", "reference"]] * 2

    def test_the_table_has_speeds_and_a_ratio(self, printed: Callable[..., str]) -> None:
        lines = printed("--rounds", "1", "--threads", "1").splitlines()
        assert len(lines) == 3
        assert all("native" in line and "times" in line for line in lines)
