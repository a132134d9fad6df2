"""Scales of integer weights, from the largest weight or by search.

A group's scale has two levels: an integer from 1 to 255 times the float scale of the output
channel (VS-Quant, Dai et al. 2021, section 4). So every sum of a product stays an integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_GROUP_SCALE = 255

CANDIDATES = 24
LOWEST = 0.5
"""A search tries as many scales, from the one without clipping down to this share of it."""


@dataclass(frozen=True)
class GroupScales:
    """Scales of the rows of a weight.

    Attributes:
        channel: ``[rows]``.
        integers: ``[rows, groups]``, whole numbers of 1 to 255, or None without groups.
    """

    channel: Tensor
    integers: Tensor | None

    @property
    def real(self) -> Tensor:
        """The scales of the groups, ``[rows, groups]``."""
        channel = self.channel[:, None]
        return channel if self.integers is None else channel * self.integers


def channel_scale(rows: Tensor, limit: int, floor: Tensor | None, search: bool) -> Tensor:
    """One scale for each row of ``rows`` [rows, columns], at least ``floor`` [rows]."""
    scale = search_scale(rows, limit) if search else largest_scale(rows, limit)
    return _positive(scale if floor is None else scale.maximum(floor))


def group_scales(groups: Tensor, limit: int, floor: Tensor | None, search: bool) -> GroupScales:
    """Scales of ``groups`` [rows, groups, columns]; the largest group of a row gets 255."""
    real = search_scale(groups, limit) if search else largest_scale(groups, limit)
    channel = real.amax(1) / LARGEST_GROUP_SCALE
    channel = _positive(channel if floor is None else channel.maximum(floor))
    return GroupScales(channel, whole_scale(real, channel[:, None]))


def whole_scale(real: Tensor, channel: Tensor) -> Tensor:
    """The integer scale nearest to ``real``, in units of ``channel``; shapes broadcast."""
    return (real / channel).round_().clamp_(1, LARGEST_GROUP_SCALE)


def largest_scale(weight: Tensor, limit: int) -> Tensor:
    """The scale ``[...]`` that puts the largest of ``weight`` [..., columns] on ``limit``."""
    return weight.abs().amax(-1) / limit


def search_scale(weight: Tensor, limit: int, importance: Tensor | None = None) -> Tensor:
    """The scale of least squared rounding error among :data:`CANDIDATES` that clip more and more.

    Args:
        weight: ``[..., columns]``.
        limit: the largest code.
        importance: what the squared error of each column counts, ``[columns]``; all the same
            by default.
    """
    top = largest_scale(weight, limit)
    best, least = top, torch.full_like(top, math.inf)
    for step in range(CANDIDATES):
        scale = top * (1 - (1 - LOWEST) * step / (CANDIDATES - 1))
        divisor = _positive(scale)[..., None]
        error = (weight / divisor).round_().clamp_(-limit, limit).mul_(divisor)
        error.sub_(weight).square_()
        total = error.sum(-1) if importance is None else error @ importance
        best = torch.where(total < least, scale, best)
        least = least.minimum(total)
    return best


def pad_groups(rows: Tensor, group: int) -> Tensor:
    """``rows`` [rows, columns] as ``[rows, groups, group]``, the last group padded with zeros."""
    return F.pad(rows, (0, -rows.shape[1] % group)).unflatten(1, (-1, group))


def _positive(scale: Tensor) -> Tensor:
    """The scale, 1 where it is 0: all codes are 0 there."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))
