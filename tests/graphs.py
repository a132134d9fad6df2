"""Captured graphs of the tiny checkpoint, and feeds for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch

from vlmforge.capture.text import capture_decoder
from vlmforge.capture.vision import capture_tower
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import Checkpoint


@lru_cache(maxsize=1)
def captured(path: Path) -> tuple[Checkpoint, Graph, Graph]:
    """The checkpoint with its language and vision graphs."""
    checkpoint = Checkpoint.open(str(path))
    return checkpoint, capture_decoder(checkpoint), capture_tower(checkpoint)


def language_feeds(graph: Graph, seq: int = 20, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random embeddings with positions as behind an image."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.arange(seq)
    return {
        "inputs_embeds": torch.randn(1, seq, graph.meta["hidden_size"], generator=generator) * 0.1,
        "position_ids": torch.stack([steps, steps // 2, steps % 7]),
        "logits_index": steps,
    }


def vision_feeds(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random pixels."""
    return {"images": torch.randn(896, 56, 6, generator=torch.Generator().manual_seed(seed))}


def relative_error(got: torch.Tensor, want: torch.Tensor) -> float:
    """Largest absolute error over the largest absolute value."""
    return float((got - want).abs().max() / want.abs().max())


def rotated(feeds: Mapping[str, torch.Tensor], matrix: torch.Tensor) -> dict[str, torch.Tensor]:
    """Language feeds whose embeddings are multiplied by a rotation."""
    embeds = (feeds["inputs_embeds"].double() @ matrix).float()
    return {**feeds, "inputs_embeds": embeds}
