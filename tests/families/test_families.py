"""Every family: a random checkpoint that transformers saved, captured, compiled and compared."""

from __future__ import annotations

import random
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.families import rms_vl
from tests.families.doors import require_every_door
from tests.families.models import CONFIGS, settings_of, write_model
from tests.graphs import language_feeds
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.capture.check import check
from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig
from vlmforge.dims import names, resolve
from vlmforge.errors import SourceError
from vlmforge.families import registry
from vlmforge.families.family import LANGUAGE, Family
from vlmforge.images.layout import DYNAMIC
from vlmforge.machine.native.machine import NativeMachine, instruction_sets
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.original.inputs import PIXELS
from vlmforge.original.model import load_model
from vlmforge.original.observed import run_decoder
from vlmforge.original.streamed import load_streamed
from vlmforge.pipeline import compile_model, plan_model
from vlmforge.program.core import Program
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.source.processor import load_processor
from vlmforge.stages.calibration import TextCalibration

ROOT = Path(__file__).parents[2]
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
    return write_model(family, tmp_path / "Random-Model")


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
    require_every_door(package, sees=sees)
    session = Session.open(package)
    assert divergence(session, model, sees) < 0.04
    for program in (session.package.text, session.package.vision):
        if program is not None:
            require_equal_codes(program)


def require_equal_codes(program: Program) -> None:
    """Every code of the reference machine is that of the native one, on every instruction set."""
    feeds, wanted = request(program), dict[str, np.ndarray]()
    ReferenceMachine(program).run(feeds, trace=wanted.__setitem__)
    for isa in instruction_sets():
        found = dict[str, np.ndarray]()
        NativeMachine(program, 2, isa).run(feeds, trace=found.__setitem__)
        assert found.keys() == wanted.keys()
        for name, codes in found.items():
            np.testing.assert_array_equal(codes, wanted[name], f"{name} ({isa})")


def request(program: Program, rows: int = 12) -> dict[str, np.ndarray]:
    """Random inputs of a program, ``rows`` of each dynamic dimension."""
    rng, feeds = np.random.default_rng(0), {}
    for name in program.inputs:
        buffer = program.buffers[name]
        shape = resolve(buffer.shape, dict.fromkeys(names(buffer.shape), rows))
        whole = buffer.dtype == "int64"
        feeds[name] = rng.integers(0, rows, shape) if whole else rng.standard_normal(shape)
        if name == "visible":
            first = rng.integers(0, shape[0], shape[0])
            feeds[name] = np.stack([first, rng.integers(first + 1, shape[0] + 1)], axis=1)
    return {name: f if f.dtype == np.int64 else f.astype(np.float32) for name, f in feeds.items()}


def test_what_it_takes_is_foreseen(family: Family, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a b c " * 100, "utf-8")
    sees = family.tower is not None
    found = plan_model(
        model,
        tmp_path / "package",
        images="synthetic" if sees else None,
        text=None if sees else TextCalibration([tmp_path / "text.txt"], 64),
        num_samples=4,
        max_new_tokens=8,
    )
    for part in family.components:
        cost = found.costs[f"mxq {part}"]
        assert cost.seconds > 0 and cost.left > 0 and cost.memory > found.costs["check"].memory


def test_sizes_are_asked_of_weights_there_are(family: Family, model: Path) -> None:
    checkpoint = Checkpoint.open(str(model))
    parts = checkpoint.family.parts
    asked = {size.weight for part in parts for size in part.stored(checkpoint.settings)}
    assert asked <= set(checkpoint.names())


def test_published_settings_and_float32_weights_are_captured(
    family: Family, tmp_path: Path
) -> None:
    directory = write_model(family, tmp_path / "Random-Model", dtype=torch.float32)
    shutil.copy(CONFIGS / f"{family.architecture}.json", directory / "config.json")
    checkpoint = Checkpoint.open(str(directory))
    assert checkpoint.dtype("lm_head.weight") == "float32"
    graph = capture(checkpoint, LANGUAGE)
    feeds, decoder = language_feeds(graph), family.decoder
    model = load_streamed(checkpoint)
    report = check(graph, feeds, lambda see: run_decoder(model, decoder, feeds, see))
    assert report["worst"]["relative"] < 1e-5


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
    checkpoint = Checkpoint.open(str(model))
    processor = load_processor(model, checkpoint.family.processor)
    pictures = pictures_for(checkpoint, DYNAMIC)
    shown = [pictures.given(image)]
    found = processor.image_processor(images=shown, return_tensors="pt", **pictures.asked)
    given = {name: found[name] for name in PIXELS if name in found}
    if checkpoint.family.decoder.positions == "axis":
        return given
    return {**given, "mm_token_type_ids": (ids == processor.image_token_id).long()}


def test_every_configuration_is_of_a_family() -> None:
    assert {file.stem for file in CONFIGS.glob("*.json")} == set(FAMILIES)


def test_a_family_that_is_not_known_is_refused() -> None:
    settings = settings_of(rms_vl.FAMILY)
    with pytest.raises(SourceError, match="RmsVLForConditionalGeneration are not supported"):
        registry.family_of(settings)


def test_a_model_that_is_spelled_otherwise_is_told_so() -> None:
    with pytest.raises(SourceError, match="InternVLChatModel are not supported") as told:
        registry.family_of({"architectures": ["InternVLChatModel"]})
    assert "-hf" in str(told.value.mend)


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "adding-a-family.md").read_text("utf-8")
    example = Path(rms_vl.__file__).read_text("utf-8")
    assert f"```python\n{example}```" in page
