"""What closed forms and learned scales ask of the float graph: one streamed pass answers all."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vlmforge.arithmetic.functions import cos_sin
from vlmforge.formats.kept_file import KeptFile
from vlmforge.formats.kept_pass import KeptPass
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds, stream
from vlmforge.progress import Progress

ROWS = 256
"""Rows of a value kept over all samples."""

ANGLES = 32
"""Angles in a quarter turn at which the extent of rotary pairs is measured."""


@dataclass
class Statistics:
    """Statistics of a graph's values over the samples, on the CPU.

    Attributes:
        maxima: float32 ``[channels]``, the largest absolute value of each channel, by value.
        rows: for each sample float32 ``[rows, channels]``, about ROWS over all samples, spread
            evenly, the first of each sample among them; the same rows of every value.
        radii: float32 ``[heads, head_dim / 2]``, the greatest length of each rotary pair, by
            query or key as an attention reads it. RoPE and rotations of the pair leave it as it is.
        extents: float32 ``[2 * ANGLES, heads, head_dim / 2]``: the greatest
            ``|a cos t - b sin t|`` of each pair (a, b) for t in steps of pi / (2 * ANGLES), by
            query or key.
    """

    maxima: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, list[Tensor]] = field(default_factory=dict)
    radii: dict[str, Tensor] = field(default_factory=dict)
    extents: dict[str, Tensor] = field(default_factory=dict)


def collect(
    graph: Graph,
    samples: Sequence[Feeds],
    rows: Collection[str] = (),
    pairs: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
    kept: KeptFile | None = None,
) -> Statistics:
    """The statistics of the graph; ``rows`` names the values whose rows are kept.

    Args:
        graph: a verified graph.
        samples: each gives the feeds of one sample.
        rows: values for :attr:`Statistics.rows`.
        pairs: whether to measure :attr:`Statistics.extents`, which costs some time.
        device: where to compute.
        progress: is told of every segment.
        kept: where a pass that is interrupted is kept.
    """
    found = Statistics()
    quota = math.ceil(ROWS / len(samples))
    attentions = [node for node in graph.nodes.values() if node.op == "attention"]
    heads = {name: node.attrs["head_dim"] for node in attentions for name in node.inputs[:2]}

    def visit(sample: int, name: str, value: Tensor) -> None:
        if not value.is_floating_point() or value.dim() < 2:
            return
        _keep_largest(found.maxima, name, value.abs().flatten(0, -2).amax(0))
        if name in rows:
            spread = torch.linspace(0, len(value) - 1, min(quota, len(value))).long()
            found.rows.setdefault(name, []).append(value[spread].cpu())
        if name in heads:
            _measure_pairs(found, name, value.unflatten(1, (-1, heads[name])), pairs)

    def see(kept: Mapping[str, Any]) -> None:
        for name, values in kept.items():
            getattr(found, name).update(values)

    keeper = None if kept is None else KeptPass(kept, found, see)
    stream(graph, samples, visit, device, progress, "measuring", keeper=keeper)
    return found


def _measure_pairs(found: Statistics, name: str, heads: Tensor, extents: bool) -> None:
    first, second = heads.chunk(2, dim=-1)
    _keep_largest(found.radii, name, (first * first + second * second).amax(0).sqrt())
    if not extents:
        return
    turned = torch.arange(2 * ANGLES, device=heads.device) * (torch.pi / (2 * ANGLES))
    sides = (each.to(first.dtype) for each in cos_sin(turned))
    largest = [(first * a - second * b).abs().amax(0) for a, b in zip(*sides, strict=True)]
    _keep_largest(found.extents, name, torch.stack(largest))


def _keep_largest(largest: dict[str, Tensor], name: str, value: Tensor) -> None:
    value = value.cpu()
    largest[name] = value.maximum(largest[name]) if name in largest else value
