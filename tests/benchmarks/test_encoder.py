"""The encoder of any size is timed on each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlmforge.machine.machine import IMPLEMENTATIONS
from vlmforge.machine.reference.machine import ReferenceMachine

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"
SMALL = {"PIXELS": 10, "HIDDEN": 16, "HEADS": 2, "HEAD_DIM": 8, "MLP": 24, "OUT": 5}

pytestmark = [
    pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native machine is not built"),
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone has it"),
]


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SPEED))
    import encoder

    for name, size in SMALL.items():
        monkeypatch.setattr(encoder, name, size)
    return encoder


@pytest.fixture
def printed(
    encoder: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What the benchmark prints, given further words."""

    def call(*words: str) -> str:
        arguments = ["encoder.py", "--layers", "2", "--rounds", "2", "--patches", "16,8", *words]
        monkeypatch.setattr("sys.argv", arguments)
        encoder.main()
        return capsys.readouterr().out

    return call


def test_every_size_is_measured(printed: Callable[..., str]) -> None:
    found = json.loads(printed("--json"))
    assert list(found) == ["8", "16"]
    assert found["8"]["times"] == 1
    for row in found.values():
        assert row["seconds"] > 0 and row["bytes"] >= 0 and 0 < row["attention"] < 1


def test_windows_are_measured(printed: Callable[..., str], encoder: ModuleType) -> None:
    found = json.loads(printed("--json", "--window", "12"))
    assert list(found) == ["8", "16"]
    whole, windowed = encoder.inputs_of(16), encoder.inputs_of(16, 12)
    assert windowed["visible"].tolist() == [[0, 12]] * 12 + [[12, 16]] * 4
    (all_see,) = ReferenceMachine(encoder.encoder(1)).run(whole).values()
    (few_see,) = ReferenceMachine(encoder.encoder(1, windowed=True)).run(windowed).values()
    assert all_see.shape == few_see.shape and not np.array_equal(all_see, few_see)


def test_the_table_has_a_line_for_each(printed: Callable[..., str]) -> None:
    lines = printed().splitlines()
    assert [line.split()[0] for line in lines] == ["patches", "8", "16"]


def test_the_program_is_an_encoder_of_any_size(encoder: ModuleType) -> None:
    machine = ReferenceMachine(encoder.encoder(2))
    for patches in (4, 20):
        (features,) = machine.run(encoder.inputs_of(patches)).values()
        assert features.shape == (patches // 4, SMALL["OUT"])
        assert len(np.unique(features)) > 4
