"""Grid: the real values that the codes of a value stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.graph.ops import MOVES
from vlmforge.quantize.scales.choice import LIMITS, Scales


@dataclass(frozen=True)
class Grid:
    """The points ``scale * code + centre``.

    Attributes:
        scale: float32, one or ``[channels]``.
        limit: the largest code.
        centre: float32, one or ``[channels]``, of a value with a zero point or centres, else None.
    """

    scale: Tensor
    limit: int
    centre: Tensor | None = None

    def round(self, value: Tensor) -> Tensor:
        """The nearest points; ``value`` is float32 ``[..., channels]``."""
        if self.centre is None:
            return self._round(value / self.scale)
        return self._round((value - self.centre) / self.scale).add_(self.centre)

    def _round(self, scaled: Tensor) -> Tensor:
        return scaled.round_().clamp_(-self.limit, self.limit).mul_(self.scale)


def grids(
    graph: Graph, codes: Mapping[str, str], scales: Scales, device: str = "cpu"
) -> dict[str, Grid]:
    """The grid of every value that is rounded when it is computed."""
    moved = {node.name for node in graph.nodes.values() if node.op in MOVES}
    tensor = partial(torch.as_tensor, dtype=torch.float32, device=device)
    found = {}
    for name, code in codes.items():
        if code in LIMITS and name not in moved and scales.knows(name):
            scale, centre = scales.of(name), scales.centre(name)
            shift = None if centre is None else tensor(centre)
            found[name] = Grid(tensor(scale), LIMITS[code], shift)
    return found
