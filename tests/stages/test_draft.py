"""A draft of the model answers, and its answers are what the samples hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlmforge.calibrate.images import SYNTHETIC, collect_images
from vlmforge.calibrate.record import record_language
from vlmforge.errors import CalibrationError
from vlmforge.formats.samples import read_samples
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import calibration
from vlmforge.stages.calibration import Calibration, calibrate_language
from vlmforge.stages.draft import draft_answers


def test_the_answers_of_a_draft(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {}

    def watched(*arguments: object) -> object:
        written["answers"] = draft_answers(*arguments)
        return written["answers"]

    monkeypatch.setattr(calibration, "draft_answers", watched)
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    images = collect_images(tmp_path / "images", 2, SYNTHETIC)
    asked = Calibration(SYNTHETIC, num_samples=3, max_new_tokens=5, answers="draft")

    calibrate_language(checkpoint, images, tmp_path / "data", asked)

    samples = read_samples(tmp_path / "data", "language")
    assert samples.facts["answers"] == "draft"
    token_ids = written["answers"].token_ids
    assert sorted(token_ids) == [0, 1, 2] and all(token_ids.values())
    for index, sample in enumerate(samples):
        embeds = sample.load()["inputs_embeds"][0, sample.facts["prompt_length"] :]
        rows = [checkpoint.embedding().read(token, token + 1) for token in token_ids[index]]
        assert np.array_equal(embeds, np.concatenate(rows))
    assert {path.name for path in tmp_path.iterdir()} == {"images", "data"}


def test_samples_alone_have_no_draft(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    with pytest.raises(CalibrationError, match="no draft has answered"):
        record_language(checkpoint, tmp_path, tmp_path / "data", answers="draft")
