"""Checkpoints of every stage, and of the whole training, can be exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from training.canvas import SHOWN, Canvas
from training.evaluate import answer
from training.evaluate import load as load_whole
from training.export import load, write
from training.family import FAMILIES
from training.model import build
from training.tokenizer import token_id
from training.tower import features
from training.views import tokens
from training.vision import CLASSES, Heads
from vlmforge import sample
from vlmforge.calibrate.scenes import draw_scene

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
    model = load_whole(tmp_path)
    assert type(model.model) is FAMILIES[family].model
    picture = draw_scene(1, canvas=(SHOWN[0], SHOWN[1])).image
    assert isinstance(answer(model, [picture], "What color is the square?", limit=2), str)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_opens_a_checkpoint(family: str, tmp_path: Path) -> None:
    write(build(3, family), tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(model) is FAMILIES[family].model
    picture = draw_scene(1, canvas=(SHOWN[0], SHOWN[1])).image
    inputs = load_whole(tmp_path).inputs("What color is the square?", [picture])
    pixels = AutoImageProcessor.from_pretrained(tmp_path)(images=[picture], return_tensors="pt")
    torch.testing.assert_close(pixels["pixel_values"], inputs.pictures["pixel_values"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = tokenizer.decode(inputs.input_ids[0])
    assert tokenizer(text, return_tensors="pt")["input_ids"].tolist() == inputs.input_ids.tolist()


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_training_sees_what_processors_show(family: str, tmp_path: Path) -> None:
    model = build(3, family)
    write(model, tmp_path)
    whole, canvas = load_whole(tmp_path), Canvas((300, 224), (280, 196), shaded=True)
    scene = canvas.draw(3)
    inputs = whole.inputs("", [scene.image])
    image = inputs.input_ids[0] == token_id("<|image_pad|>")
    seen = features(model.float(), [scene.image], canvas.grid)[0, 0]
    assert len(seen) == tokens(canvas, FAMILIES[family]) == int(image.sum())
    torch.testing.assert_close(whole.embed(inputs).inputs_embeds[0, image], seen)


def test_the_bundled_weights_answer() -> None:
    folder = sample.checkpoint()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST
    model, place = load_whole(folder), sample.questions().parent
    for row in map(json.loads, sample.questions().read_text("utf-8").splitlines()):
        pictures = [Image.open(place / name) for name in row.get("images") or [row["image"]]]
        assert answer(model, pictures, row["question"]) == row["answer"]
