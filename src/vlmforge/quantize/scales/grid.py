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

INT8 = LIMITS["int8"]


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
        return self.real(self._steps(value))

    def codes(self, value: Tensor) -> Tensor:
        """The codes of the nearest points, int8 or int16."""
        return self._steps(value).to(torch.int8 if self.limit <= INT8 else torch.int16)

    def real(self, codes: Tensor) -> Tensor:
        """The points that codes ``[..., channels]`` stand for, float32."""
        points = codes * self.scale
        return points if self.centre is None else points.add_(self.centre)

    def _steps(self, value: Tensor) -> Tensor:
        from_centre = value if self.centre is None else value - self.centre
        return (from_centre / self.scale).round_().clamp_(-self.limit, self.limit)


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
