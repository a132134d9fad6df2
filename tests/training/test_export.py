"""Checkpoints of every stage, and of the whole training, can be exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from training.canvas import SHOWN
from training.evaluate import Answerer
from training.export import load, write
from training.family import FAMILIES
from training.model import build
from training.vision import CLASSES, Heads
from vlmforge import sample
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.images.layout import DYNAMIC
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint

LARGEST = 16_000_000
"""Most bytes of a sample."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["whole", "joint", "canvas"])
def test_the_weights_of_a_training_are_found(kind: str, family: str, tmp_path: Path) -> None:
    model = build(3, family)
    state = model.state_dict()
    if kind == "canvas":
        module = nn.ModuleDict({"sample": model, "heads": Heads(256, CLASSES)})
        state = {"step": 1, "module": module.state_dict()}
    elif kind == "joint":
        state = {"step": 1, "module": state}
    torch.save(state, tmp_path / "saved.pt")
    found = load(tmp_path / "saved.pt", family).state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_answers(family: str, tmp_path: Path) -> None:
    write(build(3, family), tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= LARGEST
    answerer = Answerer.load(tmp_path)
    assert type(answerer.model) is FAMILIES[family].model
    picture = draw_scene(1, canvas=(SHOWN[0], SHOWN[1])).image
    assert isinstance(answerer.answer([picture], "What color is the square?", limit=2), str)
    checkpoint = Checkpoint.open(str(tmp_path))
    reference = ReferenceModel.load(checkpoint, layout=DYNAMIC)
    ours = answerer.inputs([picture], "What color is the square?")
    theirs = reference.inputs("What color is the square?", [picture])
    assert torch.equal(ours["input_ids"], theirs.input_ids)
    torch.testing.assert_close(ours["pixel_values"], theirs.pictures["pixel_values"])


def test_the_bundled_weights_answer() -> None:
    folder = sample.checkpoint()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST
    answerer, place = Answerer.load(folder), sample.questions().parent
    for row in map(json.loads, sample.questions().read_text("utf-8").splitlines()):
        pictures = [Image.open(place / name) for name in row.get("images") or [row["image"]]]
        assert answerer.answer(pictures, row["question"]) == row["answer"]
