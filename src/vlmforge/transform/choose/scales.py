"""The scales of a rotated component: closed forms from its statistics, or learned from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vlmforge.formats.kept_file import KeptFile
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds
from vlmforge.learning.steps import announce, timed
from vlmforge.transform.blocks import key_paths
from vlmforge.transform.choose.learn.keys import AttentionError, key_operands
from vlmforge.transform.choose.learn.scales import STEPS, learned_scales
from vlmforge.transform.choose.smoothing import Channels, OutputError, smoothing_scales
from vlmforge.transform.choose.statistics import Statistics, collect
from vlmforge.transform.order import judged_values, scalings, transform
from vlmforge.transform.passes.query_key_scaling import balanced_key_scales
from vlmforge.transform.settings import Settings

SAMPLES = 16
"""Most samples measured; ranges are observed on all of them afterwards."""

COST = 3.0
"""Time of a step in units of a plain evaluation of the loss: with gradients, and backward."""


def scale(
    graph: Graph, samples: Sequence[Feeds], settings: Settings, kept: KeptFile | None = None
) -> Graph:
    """The rotated graph with the scalings and pair rotations the configuration asks for.

    Args:
        graph: after rotations.
        samples: each gives feeds of this graph, so with rotated embeddings.
        settings: see :class:`Settings`.
        kept: where measuring that is interrupted is kept.
    """
    config = settings.config
    rows = set(judged_values(graph, config))
    if not (rows or config.qk.apply or config.qk_rotation.apply):
        return graph
    if config.qk.apply and config.qk.learn:
        rows |= {name for path in key_paths(graph, {}) for name in key_operands(path)}
    pairs, device = config.qk_rotation.apply, settings.device
    measured = samples[:: math.ceil(len(samples) / SAMPLES)]
    statistics = collect(graph, measured, rows, pairs, device, settings.progress, kept)
    chooser = _Chooser(statistics, settings)
    keys = chooser.keys if config.qk.learn else None
    return transform(graph, scalings(config, statistics, chooser.channels, keys))


class _Chooser:
    """Finds the scales of one transformation after the other."""

    def __init__(self, statistics: Statistics, settings: Settings) -> None:
        self.statistics, self.settings = statistics, settings

    def channels(
        self, graph: Graph, channels: Mapping[str, Channels], name: str
    ) -> dict[str, Tensor]:
        """Scales of VO, UD or NormConv by value, float32 on the CPU."""
        config, precision = self.settings.config, self.settings.precision
        learn = {
            "VO": config.vo.learn, "UD": config.ud.learn, "NormConv": config.norm_conv.learn,
        }[name]  # fmt: skip
        exponent = config.ud.smoothing_factor if name == "UD" else None
        what = f"{name} of the {graph.component} model"
        found: dict[str, Tensor] = {}
        for value, each in channels.items():
            error = OutputError(graph, each, self.statistics, precision, self.settings.device)
            start = smoothing_scales(error, exponent)
            if learn and not found:
                self._announce(what, error, start, len(channels))
            found[value] = self._learned(error, start, each.tie) if learn else start.cpu()
            self._report(what, len(found), len(channels))
        return found

    def keys(self, graph: Graph) -> dict[str, Tensor]:
        """Learned scales of QK by attention, float64 on the CPU."""
        paths, what = key_paths(graph, {}), f"QK of the {graph.component} model"
        precision, device = self.settings.precision, self.settings.device
        balanced = balanced_key_scales(graph, self.statistics)
        found: dict[str, Tensor] = {}
        for path in paths:
            closed = balanced[path.attention.name]
            start = closed.flatten().float().to(device)
            error = AttentionError(graph, path, self.statistics, precision, device)
            if not found:
                self._announce(what, error, start, len(paths))
            learned = self._learned(error, start, None).double()
            found[path.attention.name] = learned.reshape(closed.shape)
            self._report(what, len(found), len(paths))
        return found

    def _announce(
        self, what: str, loss: Callable[[Tensor], Tensor], start: Tensor, blocks: int
    ) -> None:
        with torch.no_grad():
            _, seconds = timed(lambda: loss(start))
        announce(what, seconds * COST * STEPS * blocks)

    def _learned(
        self, loss: Callable[[Tensor], Tensor], start: Tensor, tie: Tensor | None
    ) -> Tensor:
        return learned_scales(loss, start, tie, self.settings.budget, STEPS).cpu()

    def _report(self, what: str, done: int, total: int) -> None:
        if self.settings.progress is not None:
            self.settings.progress(f"scaling {what}", done, total)
