"""QK: scales of query and key channels against each other.

Both channels of a rotary pair share a scale, so it commutes with RoPE, and
``(q / s) . (k s) = q . k``; the biases of both products scale along, or the gains of the norms
that queries and keys have (after SmoothQuant's migration between two operands, Xiao et al. 2022;
OmniQuant, Shao et al. 2023, scales Q and K so).
The closed form ``s = sqrt(max|q| / max|k|)``, with the lengths of the pairs as magnitudes,
makes them equal. Query heads that share a kv head share its scales.

The machine's keys have a scale a channel, which is folded into the queries after RoPE, so the
codes of q and k do not depend on ``s``. What does is the int16 value between product and RoPE,
which has one scale for all channels: a key bias that lifts one pair to a hundred times the
others leaves those few codes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.graph.scaling import multiply_output
from vlmforge.transform.blocks import KeyPath, key_paths
from vlmforge.transform.choose.statistics import Statistics

SMALLEST = 1e-4
"""Shortest pair that counts, relative to the longest of its value."""


def balanced_key_scales(graph: Graph, statistics: Statistics) -> dict[str, Tensor]:
    """The closed form: scales ``[kv_heads, head_dim / 2]``, float64, by attention name."""
    return {path.attention.name: _balanced(path, statistics) for path in key_paths(graph, {})}


def scale_keys(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose keys are multiplied, and queries divided, by ``scales``.

    Args:
        graph: queries and keys are products, or norms of them, turned by RoPE or not.
        scales: float64 ``[kv_heads, head_dim / 2]`` by attention name, positive.
    """
    for path in key_paths(graph, {}):
        key = scales[path.attention.name].repeat(1, 2)
        shared = path.attention.attrs["heads"] // path.attention.attrs["kv_heads"]
        graph = multiply_output(graph, path.key, key.flatten())
        query = 1 / key.repeat_interleave(shared, 0).flatten()
        graph = multiply_output(graph, path.query, query)
    return graph


def _balanced(path: KeyPath, statistics: Statistics) -> Tensor:
    query, key = (_magnitudes(statistics.radii[name]) for name in path.operands)
    return (query.unflatten(0, (len(key), -1)).amax(1) / key).sqrt()


def _magnitudes(radii: Tensor) -> Tensor:
    largest = radii.max().double()
    floor = torch.where(largest > 0, largest * SMALLEST, torch.ones_like(largest))
    return radii.double().maximum(floor)
