"""Feeds: the inputs of a graph for one sample."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vlmforge.graph.core import Graph


def row_count(graph: Graph, feeds: Mapping[str, Tensor]) -> int | None:
    """The rows of a sample, such as its tokens; None where the graph fixes their number."""
    for name, value in graph.inputs.items():
        if "seq" in value.shape:
            return feeds[name].shape[value.shape.index("seq")]
    return None


def shortened(graph: Graph, feeds: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The first ``rows`` rows of a sample; indexes of rows stay within them."""
    short = {}
    for name, value in graph.inputs.items():
        tensor = feeds[name]
        if "seq" in value.shape:
            axis = value.shape.index("seq")
            tensor = tensor.narrow(axis, 0, min(rows, tensor.shape[axis]))
        elif value.dtype == "int64":
            tensor = tensor[tensor < rows]
        short[name] = tensor
    return short
