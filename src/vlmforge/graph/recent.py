"""Recent: the weight that was read last stays in memory, for who reads it again.

A transformed weight is computed whenever it is read: rounding one reads it for its digest, for the
bound of its scales and for itself.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.graph.core import Graph, Weight

LARGEST = 512 << 20
"""Bytes of the largest weight that is kept; rows of a larger one are read as they are asked for."""


def with_recent(graph: Graph) -> Graph:
    """The graph with weights of which the last one read is kept."""
    recent = _Recent()
    return graph.with_weights(
        {name: recent.of(name, weight) for name, weight in graph.weights.items()}
    )


class _Recent:
    def __init__(self) -> None:
        self._name: str | None = None
        self._tensor: Tensor | None = None

    def of(self, name: str, weight: Weight) -> Weight:
        if weight.float_bytes > LARGEST:
            return weight

        def read(start: int, stop: int) -> Tensor:
            if self._name != name or self._tensor is None:
                self._tensor = None
                self._name, self._tensor = name, weight.load()
            return self._tensor[start:stop].clone()

        return Weight(weight.shape, read, weight.dtype)
