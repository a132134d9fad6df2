"""Every family: a random checkpoint that transformers saved, captured, compiled and compared."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import (
    GENERATION,
    PLAIN_TEMPLATE,
    PREPROCESSOR,
    random_weights,
    write_json,
    write_tokenizer,
)
from tests.families import rms_vl
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.config import CompileConfig
from vlmforge.errors import SourceError
from vlmforge.families import registry
from vlmforge.families.family import Family
from vlmforge.images.layout import DYNAMIC
from vlmforge.images.resizing import resize_image
from vlmforge.original.model import load_model
from vlmforge.pipeline import compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.source.processor import load_processor
from vlmforge.stages.calibration import TextCalibration

ROOT = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / "configs"
FINE = CompileConfig.parse({"bit": {"activation16Share": 1.0}, "hessianQuant": {"apply": False}})
"""Rounds so little that what is left is what was understood."""

FAMILIES = {**registry.families(), rms_vl.FAMILY.architecture: rms_vl.FAMILY}


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES.keys())
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """Each family, known for as long as the test runs."""
    found: Family = request.param
    monkeypatch.setattr(registry, "_ADDED", {found.architecture: found})
    yield found


@pytest.fixture
def model(family: Family, tmp_path: Path) -> Path:
    """A tiny random checkpoint, as ``save_pretrained`` writes it."""
    directory = tmp_path / "Random-Model"
    settings = json.loads((CONFIGS / f"{family.architecture}.json").read_text("utf-8"))
    with torch.device("meta"):
        original = family.model_class(family.model_class.config_class.from_dict(settings))
    weights = random_weights(original, 0)
    weights[f"{family.decoder.path}.norm.weight"] /= 4  # small logits: rounding alone costs little
    original = family.model_class(original.config).to(torch.bfloat16)
    original.load_state_dict(weights, strict=False)
    original.save_pretrained(directory)
    write_tokenizer(directory, *([] if family.tower else [PLAIN_TEMPLATE]))
    write_json(directory / "generation_config.json", GENERATION)
    if family.tower is not None:
        write_json(directory / "preprocessor_config.json", PREPROCESSOR)
    return directory


def test_it_compiles_into_what_transformers_computes(
    family: Family, model: Path, tmp_path: Path
) -> None:
    package, text = tmp_path / "package", tmp_path / "text.txt"
    text.write_text(" ".join(random.Random(0).choices(string.printable, k=2000)), "utf-8")
    sees = family.tower is not None
    summary = compile_model(
        str(model),
        package,
        images="synthetic" if sees else None,
        text=None if sees else TextCalibration([text], 64),
        num_samples=4,
        max_new_tokens=8,
        config=FINE,
    )
    assert set(summary.checks) == set(family.components) and max(summary.checks.values()) < 1e-4
    assert divergence(Session.open(package), model, sees) < 0.02


def divergence(session: Session, model: Path, sees: bool) -> float:
    """KL(transformers ‖ package) in nats, the mean over a given answer to a question."""
    original: Any = load_model(Checkpoint.open(str(model)))
    picture = {"type": "image", "image": draw_scene(1).image}
    question: Any = "How many shapes are there?"
    content = [picture, {"type": "text", "text": question}] if sees else question
    messages = [{"role": "user", "content": content}]
    prompt = session.prompts.encode(messages).token_ids
    answer = list(np.random.default_rng(0).permutation(256)[:20])
    logits = Conversation(session).teacher_forced(messages, answer)
    ids = torch.from_numpy(np.concatenate([prompt, answer[:-1]]))[None]
    with torch.inference_mode():
        given = pixels(model, draw_scene(1).image, ids) if sees else {}
        expected = original(input_ids=ids, **given).logits[0, len(prompt) - 1 :]
    p, q = expected.double().log_softmax(-1), torch.from_numpy(logits).double().log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


def pixels(model: Path, image: Image.Image, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the original model is given beside the tokens, of an image as packages see it."""
    processor = load_processor(model)
    shown = resize_image(image, pictures_for(Checkpoint.open(str(model)), DYNAMIC))
    found = processor.image_processor(images=[shown], do_resize=False, return_tensors="pt")
    types = (ids == processor.image_token_id).long()
    return {
        "pixel_values": found["pixel_values"],
        "image_grid_thw": found["image_grid_thw"],
        "mm_token_type_ids": types,
    }


def test_every_configuration_is_of_a_family() -> None:
    assert {file.stem for file in CONFIGS.glob("*.json")} == set(FAMILIES)


def test_a_family_that_is_not_known_is_refused() -> None:
    settings = json.loads((CONFIGS / "RmsVLForConditionalGeneration.json").read_text("utf-8"))
    with pytest.raises(SourceError, match="RmsVLForConditionalGeneration are not supported"):
        registry.family_of(settings)


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "adding-a-family.md").read_text("utf-8")
    example = Path(rms_vl.__file__).read_text("utf-8")
    assert f"```python\n{example}```" in page
