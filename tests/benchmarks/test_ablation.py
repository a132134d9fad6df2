"""The ablation script runs on a small decoder and gives what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.accuracy import ablation
from vlmforge.calibrate.text import record_text
from vlmforge.capture.component import capture
from vlmforge.formats.mblt import write_mblt
from vlmforge.source.checkpoint import Checkpoint


def test_figures_of_two_configurations(
    tiny_decoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = Checkpoint.open(str(tiny_decoder))
    write_mblt(capture(checkpoint, "language"), tmp_path / "graph.mblt")
    for name in ("calibration", "evaluation"):
        text = tmp_path / f"{name}.txt"
        text.write_text(f"There are three shapes in this {name}: a star and two crosses. " * 8)
        record_text(checkpoint, [text], tmp_path / name, num_samples=2, length=24)
    paths = [str(tmp_path / name) for name in ("graph.mblt", "calibration", "evaluation")]
    asked = ["--only", "norm folding only", "default + UD", "--seeds", "2", "--share", "0"]
    monkeypatch.setattr("sys.argv", ["ablation.py", *paths, *asked])
    ablation.main()
    folded, scaled = map(json.loads, capsys.readouterr().out.splitlines())
    assert folded["configuration"] == "norm folding only"
    assert folded["kl"][0] == folded["kl"][1] > 0
    assert scaled["kl"][0] != scaled["kl"][1]
    assert all(0 <= share <= 1 for share in folded["top1"] + scaled["top1"])
