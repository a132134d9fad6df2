"""Transforms a component: draws or learns what the passes need, and applies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vlmforge.config import EquivalentTransformationConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.residual import residual
from vlmforge.graph.stream import Feeds, Progress
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.order import judged_values, scalings, transform
from vlmforge.transform.precision import Precision
from vlmforge.transform.smoothing import Channels, OutputError, smoothing_scales
from vlmforge.transform.statistics import Statistics, collect
from vlmforge.transform.value_rotation import random_value_rotations


@dataclass(frozen=True)
class Settings:
    """What transforming a component depends on besides its graph and samples.

    Attributes:
        config: which transformations are wanted.
        precision: how the integer program will round.
        seed: of random rotations.
        device: where to compute.
        progress: is told of every step.
    """

    config: EquivalentTransformationConfig
    precision: Precision
    seed: int = 0
    device: str = "cpu"
    progress: Progress | None = None


@dataclass(frozen=True)
class Rotations:
    """R1 ``[width]`` squared and R2 ``[head_dim, head_dim]`` by attention, float64, or None."""

    residual: Tensor | None
    values: Mapping[str, Tensor] | None


def choose_rotations(graph: Graph, settings: Settings) -> Rotations:
    """The rotations of a prepared graph."""
    config = settings.config
    width = stream_width(graph)
    return Rotations(
        random_rotation(width, settings.seed) if width and config.spin_r1.apply else None,
        random_value_rotations(graph, settings.seed) if config.spin_r2.apply else None,
    )


def stream_width(graph: Graph) -> int:
    """Channels of the residual stream; 0 for a graph without one."""
    stream = residual(graph).values
    width = graph.value(stream[0]).shape[-1] if stream else 0
    assert isinstance(width, int)  # channels are never dynamic
    return width


def scale(graph: Graph, samples: Sequence[Feeds], settings: Settings) -> Graph:
    """The rotated graph with the scalings and pair rotations the configuration asks for.

    Args:
        graph: after rotations.
        samples: each gives feeds of this graph, so with rotated embeddings.
        settings: see :class:`Settings`.
    """
    config = settings.config
    statistical = (config.qk, config.qk_rotation, config.vo, config.ud, config.norm_conv)
    if not any(each.apply for each in statistical):
        return graph
    statistics = collect(
        graph,
        samples,
        judged_values(graph, config),
        config.qk_rotation.apply,
        settings.device,
        settings.progress,
    )

    def choose(graph: Graph, channels: Mapping[str, Channels], name: str) -> dict[str, Tensor]:
        return _choose_scales(graph, channels, statistics, settings, name)

    return transform(graph, scalings(config, statistics, choose))


def _choose_scales(
    graph: Graph,
    channels: Mapping[str, Channels],
    statistics: Statistics,
    settings: Settings,
    name: str,
) -> dict[str, Tensor]:
    chosen: dict[str, Tensor] = {}
    for each in channels.values():
        error = OutputError(graph, each, statistics, settings.precision, settings.device)
        chosen[each.value] = smoothing_scales(error, each.tie).cpu()
        if settings.progress is not None:
            doing = f"scaling {name} of the {graph.component} model"
            settings.progress(doing, len(chosen), len(channels))
    return chosen
