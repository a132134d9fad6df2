"""The scale of every integer value, from its observed range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.ops import MOVES
from vlmforge.quantize.observe.ranges import Range
from vlmforge.quantize.scales.attention import balance, clip_queries

LIMITS = {"int8": 127, "int16": 32767}

HEADROOM = 2.0
"""int16 scales leave one bit for values beyond the calibrated range."""

SMALLEST = 1e-5
"""Smallest range of a channel, relative to the largest channel's."""


@dataclass
class Scales:
    """Scales by value name.

    Attributes:
        tensor: ``real = scale * code`` for the whole value.
        channels: float64 ``[channels]`` for attention operands. The scale of a query channel
            includes the key's: ``code_q = q * s_k / s_q``, so that ``q k = s_q code_q code_k``.
        centres: float64 ``[channels]`` of centred keys: ``key = channels * code + centres``.
            They are taken from keys where RoPE or the product that makes them rounds them.
        scores: float64 ``[heads]`` by attention name: the real score of one integer score.
        zero_points: codes of zero, where it is not 0: ``real = tensor * (code - zero_point)``.
    """

    tensor: dict[str, float] = field(default_factory=dict)
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    centres: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    zero_points: dict[str, int] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Whether the value was observed."""
        return name in self.channels or name in self.tensor

    def of(self, name: str) -> float | np.ndarray:
        """The scale a writer of the value divides by."""
        return self.channels[name] if name in self.channels else self.tensor[name]

    def centre(self, name: str) -> np.ndarray | float | None:
        """What code 0 of the value stands for, where that is not zero."""
        if name in self.zero_points:
            return -self.tensor[name] * self.zero_points[name]
        return self.centres.get(name)

    def through_moves(self, graph: Graph, name: str) -> float:
        """The scale of a whole value; one that was only moved has its source's."""
        return self.tensor[self._source(graph, name)]

    def zero_point(self, graph: Graph, name: str) -> int:
        """The code of zero; a value that was only moved has its source's."""
        return self.zero_points.get(self._source(graph, name), 0)

    def _source(self, graph: Graph, name: str) -> str:
        while name not in self.tensor:
            name = graph.nodes[name].inputs[0]
        return name


Bound = Callable[[Range], float]
"""Gives the largest size that int8 codes of a value represent."""


def choose_scales(
    graph: Graph, codes: Mapping[str, str], ranges: Mapping[str, Range], bound: Bound
) -> Scales:
    """Scales for every observed value; int8 clips at ``bound``, int16 never clips.

    A value that was only moved keeps the scale of its source.
    """
    scales = Scales()
    for name, observed in ranges.items():
        moved = name in graph.nodes and graph.nodes[name].op in MOVES
        if codes[name] in LIMITS and not moved:
            _choose_scale(name, codes[name], observed, bound, scales)
    for node in graph.nodes.values():
        if node.op == "attention":
            _attention_scales(graph, node, ranges, scales)
    return scales


def _choose_scale(name: str, code: str, observed: Range, bound: Bound, scales: Scales) -> None:
    if code == "int8" and observed.shifted:
        scales.tensor[name], scales.zero_points[name] = _shifted(observed, bound(observed))
    else:
        largest = observed.bound() * HEADROOM if code == "int16" else bound(observed)
        scales.tensor[name] = (largest or 1.0) / LIMITS[code]


def _shifted(observed: Range, bound: float) -> tuple[float, int]:
    """Scale and zero point of int8 codes that reach as far to either side as the values do.

    One of the 254 steps is left for the rounding of the zero point.
    """
    low, high = (min(side, bound) for side in observed.sides)
    limit = LIMITS["int8"]
    scale = ((low + high) or 1.0) / (2 * limit - 1)
    return scale, math.ceil(low / scale - limit)


def _attention_scales(
    graph: Graph, node: Node, ranges: Mapping[str, Range], scales: Scales
) -> None:
    query, key, value = node.inputs[:3]
    heads, kv_heads, dim = (node.attrs[name] for name in ("heads", "kv_heads", "head_dim"))
    queries = _channel_bounds(ranges[query]).reshape(heads, dim)
    largest = _channel_bounds(ranges[key])
    if key in graph.nodes and graph.nodes[key].op in ("rope", "linear"):
        scales.centres[key] = ranges[key].centres.double().numpy()
        largest = _floored(ranges[key].spreads.double().numpy())
    found = balance(queries, largest.reshape(kv_heads, dim))
    seen, met = ranges[query].rows, ranges[key].rows
    if seen is not None and met is not None:
        rows = seen.double().numpy().reshape(-1, heads, dim)
        keys = met.double().numpy() - scales.centres.get(key, 0.0)
        power = np.square(keys).mean(axis=0).reshape(kv_heads, dim)
        found = clip_queries(found, rows, power, node.attrs["scale"])
    repeated = found.keys.repeat(heads // kv_heads, axis=0)
    scales.channels[key] = found.keys.reshape(-1)
    scales.channels[value] = _channel_bounds(ranges[value]) / LIMITS["int8"]
    scales.channels[query] = (found.scores[:, None] / repeated).reshape(-1)
    scales.scores[node.name] = found.scores * node.attrs["scale"]


def _channel_bounds(observed: Range) -> np.ndarray:
    return _floored(observed.channels.double().numpy())


def _floored(bounds: np.ndarray) -> np.ndarray:
    """No bound below a small share of the largest, and none zero."""
    largest = bounds.max()
    return np.maximum(bounds, largest * SMALLEST) if largest else np.ones_like(bounds)
