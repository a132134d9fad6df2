"""How the integer program will store a graph, as far as transformations imitate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

ROUNDED = {"int8": 127, "int16": 32767}
"""Largest code of the integer types."""


@dataclass(frozen=True)
class Precision:
    """The integer types of a component's values and weights.

    Attributes:
        activations: dtype of the codes by value; ``float32`` and what is missing is not rounded.
        weights: bits by node, 8 where missing.
        groups: input features that share a scale, by node; a whole row where missing.
        channelwise: values with a scale a channel (the operands of attention).
    """

    activations: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    channelwise: frozenset[str] = frozenset()

    def limit(self, value: str) -> int | None:
        """Largest code of a value, None if it is not rounded."""
        return ROUNDED.get(self.activations.get(value, ""))

    def round_weight(self, node: str, weight: Tensor) -> Tensor:
        """``[out, in]`` rounded to nearest, the largest weight on the largest code."""
        limit = (1 << (self.weights.get(node, 8) - 1)) - 1
        group = self.groups.get(node, weight.shape[1])
        parts = [
            round_to(part, part.abs().amax(1, keepdim=True) / limit, limit)
            for part in weight.split(group, dim=1)
        ]
        return torch.cat(parts, dim=1)


def round_to(x: Tensor, scale: Tensor, limit: int) -> Tensor:
    """``x`` as integer codes of ``scale`` represent it; gradients pass as if it were unrounded.

    The straight-through estimator of Bengio et al. 2013; clipped values get no gradient.
    """
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    scaled = (x / safe).clamp(-limit, limit)
    return (scaled + (scaled.round() - scaled).detach()) * safe
