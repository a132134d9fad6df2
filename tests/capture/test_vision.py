"""Captured graphs compute what the original model computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import Qwen2VLForConditionalGeneration
from transformers.vision_utils import get_vision_position_ids

from tests.graphs import captured, in_place, language_feeds, relative_error, vision_feeds
from vlmforge.capture.check import check
from vlmforge.capture.vision import capture_tower
from vlmforge.errors import CaptureError
from vlmforge.graph.evaluate import FloatCache, evaluate
from vlmforge.images.grid import Grid
from vlmforge.images.layout import DYNAMIC, FIXED
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import FixedSize
from vlmforge.original.observed import run_decoder, run_tower
from vlmforge.original.streamed import load_streamed
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for

"""Patches of an image of 224 x 224 pixels, as the original has them."""


def decoder_of(checkpoint: Checkpoint, feeds: dict[str, torch.Tensor]) -> Callable[..., None]:
    return partial(run_decoder, load_streamed(checkpoint), checkpoint.family.decoder, feeds)


def test_language_agrees_with_the_original(tiny_checkpoint: Path) -> None:
    checkpoint, graph, _ = captured(tiny_checkpoint)
    feeds = language_feeds(graph)
    report = check(graph, feeds, decoder_of(checkpoint, feeds))
    assert report["worst"]["relative"] < 1e-5
    assert report["compared"] == 3 * 11 + 2


def test_vision_agrees_with_the_original(tiny_checkpoint: Path) -> None:
    checkpoint, _, graph = captured(tiny_checkpoint)
    feeds = vision_feeds()
    pixels = torch.from_numpy(PatchLayout().of_blocks(feeds["images"].numpy()))
    tower, original = checkpoint.family.tower, load_streamed(checkpoint)
    run = partial(run_tower, original, tower, in_place(pixels, Grid(1, 8, 8)))
    report = check(graph, feeds, run)
    assert report["worst"]["relative"] < 1e-4
    assert report["compared"] == 1 + 2 * 10 + 4


def test_a_wrong_weight_is_found(tiny_checkpoint: Path) -> None:
    checkpoint, graph, _ = captured(tiny_checkpoint)
    name = "model.layers.1.mlp.up_proj.weight"
    wrong = graph.with_weights({name: graph.weights[name].map_rows(lambda rows: rows * 1.01)})
    feeds = language_feeds(graph)
    with pytest.raises(CaptureError, match="differs from the original"):
        check(wrong, feeds, decoder_of(checkpoint, feeds))


def test_what_is_no_number_is_found(tiny_checkpoint: Path) -> None:
    checkpoint, graph, _ = captured(tiny_checkpoint)
    name = "model.layers.1.mlp.up_proj.weight"
    sick = graph.with_weights({name: graph.weights[name].map_rows(lambda rows: rows * torch.nan)})
    feeds = language_feeds(graph)
    with pytest.raises(CaptureError, match="differs from the original by inf"):
        check(sick, feeds, decoder_of(checkpoint, feeds))


def test_comparing_nothing_is_no_agreement(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    with pytest.raises(CaptureError, match=r"no counterpart(.|\n)*lm_head"):
        check(graph, language_feeds(graph), lambda observe: None)


def test_a_product_that_is_not_compared_is_no_agreement(tiny_checkpoint: Path) -> None:
    checkpoint, graph, _ = captured(tiny_checkpoint)
    name = "model_layers_1_self_attn_k_proj"
    nodes = [replace(n, module=None) if n.name == name else n for n in graph.nodes.values()]
    feeds = language_feeds(graph)
    with pytest.raises(CaptureError, match=rf"1 captured products(.|\n)*{name}"):
        check(graph.with_nodes(nodes, {}), feeds, decoder_of(checkpoint, feeds))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_dtype_within_the_settings_does_not_matter(
    tiny_checkpoint: Path, tmp_path: Path, dtype: str
) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(tiny_checkpoint, dtype=dtype)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["vision_config"]["dtype"] == dtype
    _, language, vision = captured(tmp_path)
    checkpoint, feeds = Checkpoint.open(str(tmp_path)), language_feeds(language)
    check(language, feeds, decoder_of(checkpoint, feeds))
    feeds = vision_feeds()
    pixels = torch.from_numpy(PatchLayout().of_blocks(feeds["images"].numpy()))
    original, tower = load_streamed(checkpoint), checkpoint.family.tower
    check(vision, feeds, partial(run_tower, original, tower, in_place(pixels, Grid(1, 8, 8))))


def test_names_follow_the_modules(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    assert next(iter(language.nodes)) == "inputs_embeds/reshape"
    assert "model_layers_0_mlp_down_proj" in language.nodes
    assert vision.outputs == ("model_merger_fc2",)


def test_only_wanted_rows_reach_the_head(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    feeds = language_feeds(graph)
    whole = evaluate(graph, feeds)["lm_head"]
    feeds["logits_index"] = torch.tensor([19, 3])
    assert relative_error(evaluate(graph, feeds)["lm_head"], whole[[19, 3]]) < 1e-5


def test_chunks_with_a_cache_equal_the_whole(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    feeds, cache, rows = language_feeds(graph), FloatCache(), []
    for start, stop in ((0, 7), (7, 8), (8, 20)):
        part = {
            "inputs_embeds": feeds["inputs_embeds"][:, start:stop],
            "position_ids": feeds["position_ids"][:, start:stop],
            "logits_index": torch.arange(stop - start),
        }
        rows.append(evaluate(graph, part, cache)["lm_head"])
    assert relative_error(torch.cat(rows), evaluate(graph, feeds)["lm_head"]) < 1e-5


def test_rope_rows_are_in_the_order_of_the_patches(tiny_checkpoint: Path) -> None:
    _, _, graph = captured(tiny_checkpoint)
    rows = graph.weights["model.rope_rows"].load()
    positions = get_vision_position_ids(torch.tensor([[1, 16, 16]]), 2).reshape(256, 2)
    dim = rows.shape[2]
    inverse = 1.0 / (10000.0 ** (torch.arange(0, dim // 2, 2).float() / (dim // 2)))
    angles = (positions[:, :, None] * inverse).flatten(1)
    assert torch.allclose(rows[:, 0], torch.cat([angles, angles], 1).cos(), atol=1e-5)


def test_an_image_of_broken_groups_is_refused(tiny_checkpoint: Path) -> None:
    checkpoint, _, _ = captured(tiny_checkpoint)
    with pytest.raises(CaptureError, match="multiples of 28"):
        capture_tower(checkpoint, FixedSize(PatchLayout(), 224, 230))


@pytest.mark.parametrize("grid", [Grid(1, 1, 2), Grid(1, 3, 5), Grid(1, 9, 2), Grid(1, 8, 8)])
def test_images_of_any_size_agree_with_the_original(tiny_checkpoint: Path, grid: Grid) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    pictures = pictures_for(checkpoint, DYNAMIC)
    graph = capture_tower(checkpoint, pictures)
    count = grid.tokens * 4
    patches = torch.randn(count, 1176, generator=torch.Generator().manual_seed(0))
    positions = torch.from_numpy(pictures.layout.positions(grid))
    tower = checkpoint.family.tower
    run = partial(run_tower, load_streamed(checkpoint), tower, in_place(patches, grid))
    report = check(graph, {"patches": patches, "position_ids": positions}, run)
    assert report["worst"]["relative"] < 1e-4
    assert report["compared"] == 1 + 2 * 10 + 4


def test_both_layouts_compute_the_same(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    fixed, dynamic = (
        capture_tower(checkpoint, pictures_for(checkpoint, layout)) for layout in (FIXED, DYNAMIC)
    )
    images = vision_feeds()["images"]
    patches = torch.from_numpy(PatchLayout().of_blocks(images.numpy()))
    positions = torch.from_numpy(PatchLayout().positions(Grid(1, 8, 8)))
    want = evaluate(fixed, {"images": images})["model_merger_fc2"]
    feeds = {"patches": patches, "position_ids": positions}
    assert relative_error(evaluate(dynamic, feeds)["model_merger_fc2"], want) < 1e-5
