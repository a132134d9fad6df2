"""Both machines are timed doing the same."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from vlmforge.run.machine import IMPLEMENTATIONS

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SPEED))
    import machines

    monkeypatch.setattr(machines, "DECODED", 2)
    monkeypatch.setattr(machines, "PROMPTS", (3,))
    return machines


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native machine is not built")
class TestMachines:
    def call(self, machines: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
        monkeypatch.setattr("sys.argv", ["machines.py", *words])
        machines.main()

    def test_every_round_has_both(
        self,
        machines: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        tiny_package: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.call(machines, monkeypatch, str(tiny_package), "--rounds", "2", "--json")
        found = json.loads(capsys.readouterr().out)
        assert list(found) == ["decode", "prefill of 3", "image"]
        for rounds in found.values():
            assert [sorted(each) for each in rounds] == [["native", "reference"]] * 2

    def test_the_table_has_speeds_and_a_ratio(
        self,
        machines: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        tiny_package: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.call(machines, monkeypatch, str(tiny_package), "--rounds", "1", "--threads", "1")
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert all("native" in line and "times" in line for line in lines)
