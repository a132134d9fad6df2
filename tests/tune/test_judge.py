"""A judge finds no fault with what is not rounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.models import write_model
from vlmforge.config import CompileConfig
from vlmforge.families import qwen2_5_vl
from vlmforge.stages.calibration import Calibration
from vlmforge.tune.component import Component
from vlmforge.tune.judge import Extent, Judge, Whole
from vlmforge.tune.space import opened_space
from vlmforge.tune.trial import Trial


def test_features_of_windows_are_those_of_their_tokens(tmp_path: Path) -> None:
    model = write_model(qwen2_5_vl.FAMILY, tmp_path / "Window-VL")
    calibration = Calibration("synthetic", num_samples=2, max_new_tokens=4)
    with opened_space(str(model), tmp_path / "work", calibration) as space:
        parts = [Component.load(space, name, CompileConfig()) for name in ("language", "vision")]
    judge = Judge(space, *parts, Extent(samples=2, length=200, rows=24))

    (score,) = judge.scores([Whole(Trial(), Trial())], "judging")

    assert score.kl == pytest.approx(0, abs=1e-6)
