"""Qwen3-VL: passes on its graphs, and a package that sees images and a video."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

import vlmforge.integrations.transformers  # noqa: F401 - tells the Auto classes of packages
from tests.families.models import write_model
from tests.graphs import in_place
from vlmforge.capture.check import check
from vlmforge.capture.component import capture
from vlmforge.capture.positions import position_tables
from vlmforge.config import CompileConfig
from vlmforge.decode.generate import Options
from vlmforge.errors import GraphError, SourceError
from vlmforge.families.qwen3_vl import FAMILY
from vlmforge.images.grid import Grid
from vlmforge.images.layout import DYNAMIC, FIXED
from vlmforge.original.model import load_model
from vlmforge.original.observed import run_tower
from vlmforge.original.streamed import load_streamed
from vlmforge.pipeline import compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.norm_folding import fold_norms

GRID = Grid(1, 3, 5)
FINE = CompileConfig.parse({"bit": {"activation16Share": 1.0}, "hessianQuant": {"apply": False}})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(FAMILY, tmp_path_factory.mktemp("qwen3-vl") / "Random-Model")


@pytest.fixture(scope="module")
def checkpoint(model: Path) -> Checkpoint:
    return Checkpoint.open(str(model))


def tower_feeds(checkpoint: Checkpoint, grid: Grid = GRID) -> dict[str, Tensor]:
    positions = pictures_for(checkpoint, DYNAMIC).layout.positions(grid)
    learned = position_tables(checkpoint)["position_rows"]
    pixels = torch.randn(positions.shape[1], 1536, generator=torch.Generator().manual_seed(2))
    return {
        "patches": pixels,
        "position_ids": torch.from_numpy(positions),
        "position_rows": torch.from_numpy(learned.at(positions)),
    }


@pytest.mark.parametrize("layout", [DYNAMIC, FIXED], ids=["dynamic", "fixed"])
def test_the_tower_is_captured(checkpoint: Checkpoint, layout: Any) -> None:
    pictures = pictures_for(checkpoint, layout)
    graph = capture(checkpoint, "vision", pictures)
    grid = GRID if layout is DYNAMIC else pictures.layout.grid(1, *pictures.size(0, 0))
    feeds = tower_feeds(checkpoint, grid)
    patches = feeds["patches"]
    if layout is FIXED:
        blocks = torch.from_numpy(pictures.layout.blocks(patches.numpy()))
        feeds = {"images": blocks, "position_rows": feeds["position_rows"]}
    original, tower = load_streamed(checkpoint), FAMILY.tower
    assert tower is not None
    report = check(graph, feeds, partial(run_tower, original, tower, in_place(patches, grid)))
    assert report["worst"]["relative"] < 1e-5 and len(graph.outputs) == 3


def test_a_stream_that_positions_enter_is_not_centred(checkpoint: Checkpoint) -> None:
    graph = capture(checkpoint, "vision", pictures_for(checkpoint, DYNAMIC))
    with pytest.raises(GraphError, match="which no product of this graph writes"):
        centre_residual(fold_norms(graph))


def test_mixtures_of_experts_are_refused(model: Path) -> None:
    text = (model / "config.json").read_text("utf-8")
    changed = text.replace("Qwen3VLForConditional", "Qwen3VLMoeForConditional")
    (model / "moe").mkdir()
    (model / "moe" / "config.json").write_text(changed, "utf-8")
    with pytest.raises(SourceError, match="Qwen3VLMoeForConditionalGeneration are not supported"):
        Checkpoint.open(str(model / "moe"))


def test_more_further_features_than_layers_are_refused(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy", ignore=shutil.ignore_patterns("moe"))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    config["vision_config"]["deepstack_visual_indexes"] = [0, 1, 2, 3]
    (copy / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(SourceError, match="names 4 blocks, and the decoder has 3 layers"):
        Checkpoint.open(str(copy))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


MESSAGES: list[Any] = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": Image.fromarray(noise(0, 100, 140))},
            {"type": "text", "text": "And these? "},
            {"type": "video", "video": list(noise(1, 5, 70, 90))},
            {"type": "image", "image": Image.fromarray(noise(2, 64, 64))},
            {"type": "text", "text": "What do they show?"},
        ],
    }
]


@pytest.fixture(scope="module")
def session(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    package = tmp_path_factory.mktemp("package") / "package"
    arguments: dict[str, Any] = {"num_samples": 4, "max_new_tokens": 8, "config": FINE}
    compile_model(str(model), package, images="synthetic", **arguments)
    return Session.open(package)


def test_prompts_are_those_of_transformers(session: Session, checkpoint: Checkpoint) -> None:
    prompt = session.prompts.encode(MESSAGES)
    image, *slices, last = prompt.visuals
    names = ("image_token", "video_token", "vision_start_token", "vision_end_token")
    tokens = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    numbers = SimpleNamespace(merge_size=2, temporal_patch_size=2)
    stub = SimpleNamespace(
        **dict(zip(names, tokens, strict=True)),
        image_processor=numbers,
        video_processor=numbers,
        _calculate_timestamps=lambda *a: Qwen3VLProcessor._calculate_timestamps(None, *a),
    )
    text = session.prompts.template.render(MESSAGES, generation_prompt=True)
    grid = np.array([slices[0].grid.patches(2)]) * [len(slices), 1, 1]
    metadata = SimpleNamespace(fps=None, frames_indices=list(range(5)))
    clip = {"video_grid_thw": grid, "video_metadata": [metadata]}
    text = text.replace("<|video_pad|>", Qwen3VLProcessor.replace_video_token(stub, clip, 0))
    for shown in (image, last):
        grids = {"image_grid_thw": np.array([shown.grid.patches(2)])}
        run = Qwen3VLProcessor.replace_image_token(stub, grids, 0)
        text = text.replace("<|image_pad|>", run.replace("<|image_pad|>", "<image>"), 1)
    text = text.replace("<image>", "<|image_pad|>")
    wanted = session.prompts.tokenizer.encode(text, add_special_tokens=False).ids
    assert prompt.token_ids.tolist() == wanted


def original_inputs(session: Session) -> tuple[np.ndarray, dict[str, Tensor]]:
    """The tokens, and what transformers is given beside them."""
    prompt = session.prompts.encode(MESSAGES)
    image, *slices, last = prompt.visuals
    stills = np.concatenate([image.slice(0), last.slice(0)])
    clip = np.concatenate([each.slice(0) for each in slices])
    rows, columns = slices[0].grid.patches(2)[1:]
    return prompt.token_ids, {
        "pixel_values": torch.from_numpy(stills),
        "image_grid_thw": torch.tensor([image.grid.patches(2), last.grid.patches(2)]),
        "pixel_values_videos": torch.from_numpy(clip),
        "video_grid_thw": torch.tensor([[len(slices), rows, columns]]),
    }


def test_positions_are_those_of_transformers(session: Session, checkpoint: Checkpoint) -> None:
    token_ids, shown = original_inputs(session)
    stub = SimpleNamespace(config=checkpoint.settings)
    stub.get_vision_position_ids = lambda *a, **k: Qwen3VLModel.get_vision_position_ids(
        stub, *a, **k
    )
    types = torch.from_numpy(session.prompts.placeholders.types(token_ids)).int()[None]
    grids = {name: value for name, value in shown.items() if name.endswith("thw")}
    ids = torch.from_numpy(token_ids)[None]
    wanted, _ = Qwen3VLModel.get_rope_index(stub, ids, mm_token_type_ids=types, **grids)
    found = session.new_context().positions_of(session.inputs(MESSAGES))
    np.testing.assert_array_equal(found, wanted[:, 0].numpy())


def test_it_predicts_what_transformers_does(session: Session, model: Path) -> None:
    token_ids, shown = original_inputs(session)
    answer = list(np.random.default_rng(0).permutation(256)[:12])
    conversation = Conversation(session)
    logits = conversation.teacher_forced(MESSAGES, answer)
    ids = torch.from_numpy(np.concatenate([token_ids, answer[:-1]]))[None]
    types = torch.from_numpy(session.prompts.placeholders.types(ids.numpy())).int()
    original: Any = load_model(Checkpoint.open(str(model)))
    with torch.inference_mode():
        output = original(input_ids=ids, mm_token_type_ids=types, **shown).logits
    wanted = output[0, len(token_ids) - 1 :].double().log_softmax(-1)
    found = torch.from_numpy(logits).double().log_softmax(-1)
    assert (wanted.exp() * (wanted - found)).sum(-1).mean() < 0.02
    again = Conversation(session)
    again.restore(conversation.snapshot())
    np.testing.assert_array_equal(again.teacher_forced(MESSAGES, answer), logits)


def test_hugging_face_classes_read_and_answer_the_same(session: Session) -> None:
    pytest.importorskip("vlmforge.integrations.transformers")
    directory = str(session.package.dir)
    processor: Any = AutoProcessor.from_pretrained(directory)
    model: Any = AutoModelForImageTextToText.from_pretrained(directory)
    text = processor.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    parts = MESSAGES[0]["content"]
    stills = [part["image"] for part in parts if part["type"] == "image"]
    clips = [np.stack(part["video"]) for part in parts if part["type"] == "video"]
    batch = processor(text=[text], images=stills, videos=clips, return_tensors="pt")
    length = batch["input_ids"].shape[1]
    wanted = session.prompts.encode(MESSAGES).token_ids
    np.testing.assert_array_equal(batch["input_ids"][0].numpy(), wanted)
    greedy = {"do_sample": False, "repetition_penalty": 1.0, "max_new_tokens": 6}
    found = model.generate(**batch, **greedy)[0, length:].tolist()
    answer = Conversation(session).generate(MESSAGES, Options(max_new_tokens=6))
    assert found == list(answer.token_ids)
