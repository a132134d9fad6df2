"""What a sample holds is told as it is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlmforge.calibrate.images import collect_images
from vlmforge.calibrate.record import record_vision
from vlmforge.images.layout import FIXED, Layout
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.stages.calibration import Calibration, TextCalibration
from vlmforge.stages.volume import ANSWER_TOKENS, FLOAT32, Volume

LAYOUTS = [FIXED, Layout((112, 168)), Layout(max_pixels=25088), Layout(max_pixels=100352)]


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(str(tiny_checkpoint))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_as_large_as_those_recorded(
    checkpoint: Checkpoint, layout: Layout, tmp_path: Path
) -> None:
    calibration = Calibration("synthetic", num_samples=12, layout=layout)
    found = Volume.of(checkpoint, calibration)
    images = collect_images(tmp_path / "images", 12, "synthetic", layout=layout)
    record_vision(checkpoint, images, tmp_path / "data", 12, layout)
    files = (tmp_path / "data").rglob("*.npy")
    pixels = [np.load(file) for file in files if "position" not in file.name]
    recorded = np.mean([each.nbytes for each in pixels])
    text = FLOAT32 * found.tokens * checkpoint.shape(EMBEDDING)[1]
    assert found.nbytes - text == pytest.approx(recorded, rel=0.1)
    short = Volume.of(checkpoint, replace(calibration, max_new_tokens=9))
    assert (found.tokens, short.tokens) == (found.prompt + ANSWER_TOKENS, found.prompt + 9)


def test_a_text_is_as_long_as_asked_for(tiny_decoder: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_decoder))
    found = Volume.of(checkpoint, Calibration(text=TextCalibration([], 64)))
    assert (found.tokens, found.patches) == (64, 0)
    assert found.nbytes == FLOAT32 * 64 * checkpoint.shape(EMBEDDING)[1]
