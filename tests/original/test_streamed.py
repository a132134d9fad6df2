"""A model whose weights are read as they are needed answers as the whole one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vlmforge.original import streamed
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint

ASKED = ("Hi.", "Describe the image.", "How many shapes are there in the image, and why?", "?")


@pytest.fixture(params=["in blocks", "whole products"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in blocks":
        monkeypatch.setattr(streamed, "BLOCK", 96 * 100)


def noise(seed: int) -> Image.Image:
    """An RGB image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 90, 3), np.uint8)
    return Image.fromarray(pixels)


def answers(model: ReferenceModel, together: bool) -> list[list[int]]:
    """What a model answers to questions about no, one and two images."""
    questions = [
        model.inputs(question, [noise(seed)] * (seed % 3)) for seed, question in enumerate(ASKED)
    ]
    if together:
        return model.answers([model.embed(each) for each in questions], 16)
    return [model.generate(each, 16) for each in questions]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_tokens_as_of_the_whole_model(
    tiny_checkpoint: Path, dtype: torch.dtype, together: bool
) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    whole = ReferenceModel.load(checkpoint, dtype=dtype)
    read = ReferenceModel.load(checkpoint, dtype=dtype, streamed=True)
    expected = answers(whole, together)
    assert answers(read, together) == expected
    assert len({token for answer in expected for token in answer}) > 8
    assert read.model.generation_config.eos_token_id == whole.model.generation_config.eos_token_id


def test_no_weight_stays(tiny_checkpoint: Path) -> None:
    model = ReferenceModel.load(Checkpoint.open(str(tiny_checkpoint)), streamed=True)
    model.generate(model.inputs("Hi.", [noise(1)]), 2)
    assert all(parameter.is_meta for parameter in model.model.parameters())
