"""Captured graphs of the tiny checkpoint, and feeds for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch

from vlmforge.capture.text import capture_decoder
from vlmforge.capture.vision import capture_tower
from vlmforge.dims import Shape
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.residual import STREAM_INPUTS
from vlmforge.images.grid import Grid
from vlmforge.images.layout import FIXED
from vlmforge.original.inputs import Picture
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for


@lru_cache(maxsize=1)
def captured(path: Path) -> tuple[Checkpoint, Graph, Graph]:
    """The checkpoint with its language and vision graphs."""
    checkpoint = Checkpoint.open(str(path))
    vision = capture_tower(checkpoint, pictures_for(checkpoint, FIXED))
    return checkpoint, capture_decoder(checkpoint), vision


def language_feeds(graph: Graph, seq: int = 20, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random embeddings with positions as behind an image."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.arange(seq)
    names = ("inputs_embeds", *graph.meta.get(STREAM_INPUTS, ()))
    shape = (1, seq, graph.meta["hidden_size"])
    return {
        **{name: torch.randn(shape, generator=generator) * 0.1 for name in names},
        "position_ids": torch.stack([steps, steps // 2, steps % 7]),
        "logits_index": steps,
    }


def vision_feeds(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random pixels."""
    return {"images": torch.randn(896, 56, 6, generator=torch.Generator().manual_seed(seed))}


def in_place(patches: torch.Tensor, grid: Grid) -> Picture:
    """An image of Qwen2-VL's and its successors', whose patches stand as in the program."""
    shown = {"pixel_values": patches, "image_grid_thw": torch.tensor([grid.patches(2)])}
    return Picture(shown, torch.arange(len(patches)), torch.arange(grid.tokens))


def merging_graph() -> Graph:
    """An encoder of as many groups of four patches as there are, whose merger joins each group."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Weight] = {}

    def node(
        name: str, op: str, inputs: str, shape: Shape, /, *sizes: int, **attrs: object
    ) -> Node:
        roles = {}
        if sizes:
            weights[f"{name}.weight"] = Weight.of(torch.randn(*sizes, generator=generator) / 3)
            roles = {"weight": f"{name}.weight"}
        return Node(name, op, tuple(inputs.split()), shape, roles, attrs)

    angles = torch.outer(torch.arange(64.0), torch.tensor([1.0, 0.3]))
    weights |= {"cos": Weight.of(angles.cos()), "sin": Weight.of(angles.sin())}
    patches: Shape = ("4*groups", 8)
    heads = {"heads": 2, "kv_heads": 2, "head_dim": 4, "scale": 0.5, "causal": False, "cache": None}
    turns = Node(
        "turns", "rope_lookup", ("position_ids",), ("4*groups", 2, 4),
        {"cos": "cos", "sin": "sin"}, {"sections": [1, 1]},
    )  # fmt: skip
    nodes = [
        turns,
        node("embed", "linear", "patches", patches, 8, 6),
        node("norm", "layer_norm", "embed", patches, 8, eps=1e-6),
        *(node(name, "linear", "norm", patches, 8, 8) for name in ("q", "k", "v")),
        *(
            node(f"{name}_rope", "rope", f"{name} turns", patches, head_dim=4)
            for name in ("q", "k")
        ),
        node("attention", "attention", "q_rope k_rope v", patches, **heads),
        node("add", "add", "embed attention", patches),
        node("norm2", "layer_norm", "add", patches, 8, eps=1e-6),
        node("merged", "reshape", "norm2", ("groups", 32), shape=["groups", 32]),
        node("fc1", "linear", "merged", ("groups", 32), 32, 32),
        node("gelu", "gelu", "fc1", ("groups", 32)),
        node("fc2", "linear", "gelu", ("groups", 5), 5, 32),
    ]
    inputs = {
        "patches": Value("patches", ("4*groups", 6)),
        "position_ids": Value("position_ids", (3, "4*groups"), "int64"),
    }
    return Graph("vision", inputs, {each.name: each for each in nodes}, ("fc2",), weights)


def merging_feeds(groups: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Patches of a picture of so many groups, one above the other."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(groups).repeat_interleave(4) * 2, torch.tensor([0, 1] * 2 * groups)
    positions = torch.stack([rows, columns, 0 * rows])
    patches = torch.randn(4 * groups, 6, generator=generator)
    return {"patches": patches, "position_ids": positions}


def relative_error(got: torch.Tensor, want: torch.Tensor) -> float:
    """Largest absolute error over the largest absolute value."""
    return float((got - want).abs().max() / want.abs().max())


def rotated(feeds: Mapping[str, torch.Tensor], matrix: torch.Tensor) -> dict[str, torch.Tensor]:
    """Language feeds whose embeddings are multiplied by a rotation."""
    embeds = (feeds["inputs_embeds"].double() @ matrix).float()
    return {**feeds, "inputs_embeds": embeds}
