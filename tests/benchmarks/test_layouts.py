"""An image is timed in a package of each layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"


def test_every_round_has_a_ratio(
    tiny_package: Path,
    dynamic_package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(SPEED))
    import layouts

    packages = [str(tiny_package), str(dynamic_package)]
    monkeypatch.setattr("sys.argv", ["layouts.py", *packages, "--rounds", "3", "--json"])
    layouts.main()
    found = json.loads(capsys.readouterr().out)
    pairs = zip(found["fixed"], found["dynamic"], found["ratio"], strict=True)
    assert len(found["ratio"]) == 3
    assert all(second / first == ratio for first, second, ratio in pairs)
