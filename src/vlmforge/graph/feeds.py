"""Feeds: the inputs of a graph for one sample."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from vlmforge.dims import bind, names, parts, resolve
from vlmforge.graph.core import Graph
from vlmforge.graph.ops import PRODUCTS


def sizes_of(graph: Graph, feeds: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of the graph's dynamic dimensions in a sample."""
    sizes: dict[str, int] = {}
    for name, value in graph.inputs.items():
        sizes = bind(value.shape, feeds[name].shape, sizes)
    return sizes


def row_count(graph: Graph, feeds: Mapping[str, Tensor]) -> int:
    """The most rows that a product has in a sample: its tokens, or its patches."""
    sizes = sizes_of(graph, feeds)
    products = (node for node in graph.nodes.values() if node.op in PRODUCTS)
    return max(math.prod(resolve(node.shape[:-1], sizes)) for node in products)


def shortened(graph: Graph, feeds: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The first ``rows`` rows of a sample, or a few less where rows come in groups.

    Indexes of rows, and intervals of them, stay within them.
    """
    sizes = sizes_of(graph, feeds)
    kept = {name: min(sizes[name], size) for name, size in _row_names(graph, rows).items()}
    short = {}
    for name, value in graph.inputs.items():
        tensor = feeds[name]
        for axis, size in enumerate(resolve(value.shape, {**sizes, **kept})):
            tensor = tensor.narrow(axis, 0, size)
        limit = _indexed_rows(graph, name, {**sizes, **kept})
        if limit is not None and len(value.shape) == 2:
            tensor = tensor.clamp(max=torch.tensor([limit - 1, limit]))
        elif limit is not None:
            moves = kept.keys() & names(value.shape)
            tensor = tensor.clamp(max=limit - 1) if moves else tensor[tensor < limit]
        short[name] = tensor
    return short


def _row_names(graph: Graph, rows: int) -> dict[str, int]:
    """The dynamic dimensions of the values that enter, and their sizes for so many rows."""
    entering = [value.shape for value in graph.inputs.values() if value.dtype == "float32"]
    factors: dict[str, int] = {}
    for factor, name in (parts(dim) for shape in entering for dim in shape):
        if name is not None:
            factors[name] = max(factor, factors.get(name, 1))
    return {name: max(1, rows // factor) for name, factor in factors.items()}


def _indexed_rows(graph: Graph, name: str, sizes: Mapping[str, int]) -> int | None:
    """How many rows an input points into; None for one that is no index of rows."""
    at = {"gather_rows": 1, "attention": 3}
    limits = [
        resolve(graph.value(node.inputs[at[node.op] - 1]).shape[:1], sizes)[0]
        for node in graph.consumers(name)
        if node.op in at and name in node.inputs[at[node.op] :]
    ]
    return min(limits, default=None)
