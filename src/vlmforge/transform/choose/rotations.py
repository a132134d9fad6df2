"""The rotations of a component: random Hadamard matrices, or learned from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.graph.feeds import shortened
from vlmforge.graph.residual import stream_width
from vlmforge.graph.stream import Feeds
from vlmforge.transform.choose.learn.cayley import nearest_orthogonal
from vlmforge.transform.choose.learn.rotations import learn_rotations
from vlmforge.transform.choose.learn.rounded import TOKENS, Rotated, RoundedGraph
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.mean_keeping import mean_keeping_rotation, normalizes_mean
from vlmforge.transform.passes.value_rotation import random_value_rotations
from vlmforge.transform.settings import Settings


@dataclass(frozen=True)
class Rotations:
    """R1 ``[width]`` squared and R2 ``[head_dim, head_dim]`` by attention, float64, or None."""

    residual: Tensor | None
    values: Mapping[str, Tensor] | None


def choose_rotations(
    graph: Graph, samples: Sequence[Feeds], settings: Settings, turned: bool
) -> Rotations:
    """The rotations the configuration asks for.

    Args:
        graph: prepared, not rotated.
        samples: each gives feeds of this graph.
        settings: see :class:`Settings`.
        turned: whether the residual stream is rotated.
    """
    r1, r2 = settings.config.spin_r1, settings.config.spin_r2
    start = Rotations(
        _drawn(graph, settings.seed) if turned else None,
        random_value_rotations(graph, settings.seed) if r2.apply else None,
    )
    learn_r1 = r1.learn and start.residual is not None
    learn_r2 = r2.learn and start.values is not None
    if not (learn_r1 or learn_r2):
        return start
    return _learned(graph, samples, settings, start, learn_r1, learn_r2)


def _drawn(graph: Graph, seed: int) -> Tensor:
    draw = mean_keeping_rotation if normalizes_mean(graph) else random_rotation
    return draw(stream_width(graph), seed)


def _learned(
    graph: Graph,
    samples: Sequence[Feeds],
    settings: Settings,
    start: Rotations,
    learn_r1: bool,
    learn_r2: bool,
) -> Rotations:
    device = settings.device
    rotated = Rotated.of(graph, start.residual, start.values or {}, device)
    matrices = [rotated.residual] if learn_r1 and rotated.residual is not None else []
    matrices += rotated.values.values() if learn_r2 else []
    short = [shortened(graph, load(), TOKENS) for load in samples]
    feeds = [{name: tensor.to(device) for name, tensor in sample.items()} for sample in short]
    component = RoundedGraph(graph, settings.precision, rotated, device)
    learn_rotations(component, feeds, matrices, settings.budget, settings.progress)
    found = [nearest_orthogonal(matrix, rotated.keeps_mean(matrix)).cpu() for matrix in matrices]
    r1 = found.pop(0) if learn_r1 else start.residual
    return Rotations(r1, dict(zip(rotated.values, found, strict=True)) if found else start.values)
