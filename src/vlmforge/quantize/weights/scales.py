"""Scales of integer weights, from the largest weight or by search.

A group's scale has two levels: an integer from 1 to 127, with a sign, times the float scale of the
output channel (VS-Quant, Dai et al. 2021, section 4). So every sum of a product stays an integer.
Four bits have one code more below zero than above: a negative scale turns it to the side where the
largest weight is, so that all sixteen codes are of use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmforge.arithmetic.sums import dots, row_sums

LARGEST_GROUP_SCALE = 127

CANDIDATES = 24
LOWEST = 0.5
"""A search tries as many scales, from the one without clipping down to this share of it."""


class CodeRange(NamedTuple):
    """The codes of a weight, both ends included."""

    lowest: int
    largest: int

    def round(self, scaled: Tensor) -> Tensor:
        """The nearest codes, in place of weights divided by their scale."""
        return scaled.round_().clamp_(self.lowest, self.largest)


@dataclass(frozen=True)
class GroupScales:
    """Scales of the rows of a weight.

    Attributes:
        channel: ``[rows]``; positive where groups have signs of their own.
        integers: ``[rows, groups]``, whole numbers of ±1 to ±127, or None without groups.
    """

    channel: Tensor
    integers: Tensor | None

    @property
    def real(self) -> Tensor:
        """The scales of the groups, ``[rows, groups]``."""
        channel = self.channel[:, None]
        return channel if self.integers is None else channel * self.integers


def channel_scale(rows: Tensor, codes: CodeRange, floor: Tensor | None, search: bool) -> Tensor:
    """One scale for each row of ``rows`` [rows, columns], its size at least ``floor`` [rows]."""
    scale = real_scale(rows, codes, search)
    return _not_zero(scale if floor is None else scale.abs().maximum(floor).copysign(scale))


def group_scales(
    groups: Tensor, codes: CodeRange, floor: Tensor | None, search: bool
) -> GroupScales:
    """Scales of ``groups`` [rows, groups, columns]; the largest group of a row gets ±127."""
    real = real_scale(groups, codes, search)
    channel = real.abs().amax(1) / LARGEST_GROUP_SCALE
    channel = _not_zero(channel if floor is None else channel.maximum(floor))
    return GroupScales(channel, whole_scale(real, channel[:, None]))


def whole_scale(real: Tensor, channel: Tensor) -> Tensor:
    """The integer scale nearest to ``real``, in units of ``channel``; shapes broadcast."""
    whole = (real / channel).abs_().round_().clamp_(1, LARGEST_GROUP_SCALE)
    return whole.copysign_(real)


def real_scale(
    weight: Tensor, codes: CodeRange, search: bool, importance: Tensor | None = None
) -> Tensor:
    """The scale of :func:`search_scale`, or that of :func:`whole_range_scale` without a search."""
    return search_scale(weight, codes, importance) if search else whole_range_scale(weight, codes)


def whole_range_scale(weight: Tensor, codes: CodeRange) -> Tensor:
    """The smallest scale ``[...]`` that clips none of ``weight`` [..., columns], with its sign."""
    top, bottom = weight.amax(-1), weight.amin(-1)
    positive = (top / codes.largest).maximum(bottom / codes.lowest)
    negative = (bottom / codes.largest).minimum(top / codes.lowest)
    return torch.where(positive <= -negative, positive, negative)


def search_scale(weight: Tensor, codes: CodeRange, importance: Tensor | None = None) -> Tensor:
    """The scale of least squared rounding error among :data:`CANDIDATES` that clip more and more.

    Args:
        weight: ``[..., columns]``.
        codes: those there are.
        importance: what the squared error of each column counts, ``[columns]``; all the same
            by default.
    """
    top = whole_range_scale(weight, codes)
    best, least = top, torch.full_like(top, math.inf)
    for step in range(CANDIDATES):
        scale = top * (1 - (1 - LOWEST) * step / (CANDIDATES - 1))
        divisor = _not_zero(scale)[..., None]
        error = codes.round(weight / divisor).mul_(divisor)
        error.sub_(weight).square_()
        total = row_sums(error) if importance is None else dots(error, importance)
        best = torch.where(total < least, scale, best)
        least = least.minimum(total)
    return best


def pad_groups(rows: Tensor, group: int) -> Tensor:
    """``rows`` [rows, columns] as ``[rows, groups, group]``, the last group padded with zeros."""
    return F.pad(rows, (0, -rows.shape[1] % group)).unflatten(1, (-1, group))


def _not_zero(scale: Tensor) -> Tensor:
    """The scale, 1 where it is 0: all codes are 0 there."""
    return torch.where(scale == 0, torch.ones_like(scale), scale)
