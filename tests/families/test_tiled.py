"""Families of tiles: their towers and decoders, and packages that see several images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor

import vlmforge.integrations.transformers  # noqa: F401 - tells the Auto classes of packages
from tests.families.models import settings_of, write_model
from vlmforge.capture.check import check
from vlmforge.capture.component import capture
from vlmforge.capture.positions import position_tables
from vlmforge.config import CompileConfig
from vlmforge.errors import RunError, SourceError
from vlmforge.families import internvl, smolvlm
from vlmforge.families.family import Family
from vlmforge.graph.core import Graph, Weight
from vlmforge.images.feeds import vision_feeds
from vlmforge.images.layout import DYNAMIC, FIXED, Layout
from vlmforge.images.tiles import Tiles
from vlmforge.original.model import load_model
from vlmforge.original.observed import run_tower
from vlmforge.original.streamed import load_streamed
from vlmforge.pipeline import compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.samples import original_picture

FINE = CompileConfig.parse({"bit": {"activation16Share": 1.0}, "hessianQuant": {"apply": False}})
QWEN3 = {"model_type": "qwen3", "head_dim": 24, "architectures": ["Qwen3ForCausalLM"]}


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def changed(text: Mapping[str, Any] = {}, vision: Mapping[str, Any] = {}) -> dict[str, Any]:
    """The settings of the tiny InternVL with others of its parts."""
    settings = settings_of(internvl.FAMILY)
    settings["text_config"] |= text
    settings["vision_config"] |= vision
    return settings


@pytest.fixture(scope="module", params=[internvl.FAMILY, smolvlm.FAMILY], ids=["intern", "smol"])
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture(scope="module")
def model(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(family, tmp_path_factory.mktemp("tiled") / "Random-Model")


@pytest.fixture(scope="module")
def intern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(internvl.FAMILY, tmp_path_factory.mktemp("intern") / "Random-Model")


def tower(model: Path) -> tuple[Graph, dict[str, Tensor]]:
    """The captured tower, its weights read, and the feeds of a tile."""
    checkpoint = Checkpoint.open(str(model))
    pictures = pictures_for(checkpoint, DYNAMIC)
    graph = capture(checkpoint, "vision", pictures)
    graph = graph.with_weights({n: Weight.of(w.load()) for n, w in graph.weights.items()})
    patches = np.random.default_rng(0).standard_normal((36, 588), np.float32)
    ways = vision_feeds(graph.meta, position_tables(checkpoint))
    feeds = ways(patches, pictures.grid(84, 84))
    return graph, {name: torch.from_numpy(array) for name, array in feeds.items()}


def require_agreement(model: Path) -> None:
    graph, feeds = tower(model)
    checkpoint = Checkpoint.open(str(model))
    seen, original = checkpoint.family.tower, load_streamed(checkpoint)
    assert seen is not None
    shown = original_picture(graph, feeds)
    report = check(graph, feeds, partial(run_tower, original, seen, shown))
    assert report["worst"]["relative"] < 1e-5
    assert report["compared"] == 1 + 3 * 10 + (4 if seen.projection == "mlp" else 2)


def test_the_tower_is_captured(model: Path) -> None:
    require_agreement(model)


def test_a_tower_without_biases_is_captured(tmp_path: Path) -> None:
    settings = changed(vision={"attention_bias": False})
    require_agreement(write_model(internvl.FAMILY, tmp_path / "Random-Model", settings))


def test_names_in_memory_are_read_as_those_that_are_saved(intern: Path, tmp_path: Path) -> None:
    """transformers saves the names that were published, and has others in memory."""
    from safetensors.torch import load_file, save_file

    weights = load_file(intern / "model.safetensors")
    newer = {
        "language_model.model.": "model.language_model.",
        "language_model.lm_head.": "lm_head.",
        "": "model.",
    }
    for name in list(weights):
        begin = next(each for each in newer if name.startswith(each))
        weights[newer[begin] + name.removeprefix(begin)] = weights.pop(name)
    for file in intern.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    require_agreement(tmp_path)
    assert Checkpoint.open(str(tmp_path)).names() == Checkpoint.open(str(intern)).names()


@pytest.fixture(scope="module")
def package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(model, tmp_path_factory.mktemp("package") / "package")


def compiled(model: Path, package: Path) -> Path:
    summary = compile_model(
        str(model), package, images="synthetic", num_samples=4, max_new_tokens=8, config=FINE
    )
    assert max(summary.checks.values()) < 1e-4
    return package


TALK: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": picture(100, 300)},
            {"type": "text", "text": "How many? "},
            {"type": "image", "image": picture(80, 90, 1)},
        ],
    }
]


def test_a_package_agrees_with_the_original(model: Path, package: Path) -> None:
    session, answer = Session.open(package), list(range(40, 60))
    logits = Conversation(session).teacher_forced(TALK, answer)
    original: Any = load_model(Checkpoint.open(str(model)))
    batch = AutoProcessor.from_pretrained(package).apply_chat_template(
        TALK, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    )
    ids = torch.cat([batch["input_ids"], torch.tensor([answer[:-1]])], dim=1)
    with torch.inference_mode():
        found = original(input_ids=ids, pixel_values=batch["pixel_values"]).logits[0]
    p = found[-len(answer) :].double().log_softmax(-1)
    q = torch.from_numpy(logits).double().log_softmax(-1)
    assert float((p.exp() * (p - q)).sum(-1).mean()) < 0.04


def test_qwen3_as_its_decoder(tmp_path: Path) -> None:
    model = write_model(internvl.FAMILY, tmp_path / "Random-Model", changed(QWEN3))
    family = Checkpoint.open(str(model)).family
    assert family.decoder.head_norms and family.architecture == internvl.FAMILY.architecture
    compiled(model, tmp_path / "package")


def test_other_decoders_are_refused(model: Path, tmp_path: Path) -> None:
    settings = json.loads((model / "config.json").read_text("utf-8"))
    settings["text_config"]["model_type"] = "gpt_oss"
    (tmp_path / "config.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(SourceError, match=r"text_config\.model_type is 'gpt_oss'"):
        Checkpoint.open(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("norm_type", "rms_norm"),
        ("use_qk_norm", True),
        ("use_mean_pooling", False),
        ("image_size", [84, 112]),
        ("image_size", 98),
    ],
)
def test_other_towers_are_refused(intern: Path, tmp_path: Path, key: str, value: Any) -> None:
    for file in intern.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((intern / "config.json").read_text("utf-8"))
    settings["vision_config"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(SourceError, match=rf"vision_config\.{key}"):
        Checkpoint.open(str(tmp_path))


def test_layouts(model: Path) -> None:
    checkpoint = Checkpoint.open(str(model))
    with pytest.raises(SourceError, match="no layout of one size"):
        pictures_for(checkpoint, FIXED)
    with pytest.raises(SourceError, match="7055 pixels are none"):
        pictures_for(checkpoint, Layout(max_pixels=7055))
    found = pictures_for(checkpoint, Layout(max_pixels=3 * 7056))
    assert isinstance(found, Tiles) and found.cut.most == (3 if found.class_token else 1)


def test_videos_are_refused(package: Path) -> None:
    video = {"type": "video", "video": [picture(84, 84)]}
    with pytest.raises(RunError, match="sees no videos"):
        Session.open(package).prompts.encode([{"role": "user", "content": [video]}])
