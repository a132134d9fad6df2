"""Rounding with error compensation (GPTQ, Frantar et al. 2022, algorithm 1).

Columns are rounded one after the other. The error of each is carried to the columns not yet
rounded so that the product's output, over the calibration rows, changes least:
``w_rest -= (w_k - q_k) / U_kk * U_k,rest`` with ``U^T U = H^-1``. Coordinate descent then improves
the codes once all of them are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vlmforge.arithmetic.products import add_product
from vlmforge.arithmetic.rounding import round_columns
from vlmforge.graph.core import Weight
from vlmforge.quantize.weights.descent import CoordinateDescent
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat
from vlmforge.quantize.weights.hessian import inverse_factor
from vlmforge.quantize.weights.scales import (
    GroupScales,
    channel_scale,
    group_scales,
    pad_groups,
    real_scale,
    whole_scale,
)
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks

ROWS = 16384
"""Output channels quantized at once; they do not depend on each other."""


@dataclass(frozen=True)
class Compensation:
    """Settings.

    Attributes:
        damping: see :meth:`vlmforge.quantize.weights.hessian.Hessian.damped`.
        order: whether columns with large inputs are rounded first; groups stay together.
        block: columns rounded before their errors reach the rest.
    """

    damping: float = 0.05
    order: bool = True
    block: int = 128


def compensate(
    weight: Weight,
    hessian: Tensor,
    weight_format: WeightFormat,
    settings: Compensation,
    smallest: np.ndarray | None = None,
    tasks: Tasks = HERE,
) -> QuantizedWeight:
    """Round a weight so that the outputs on the rows behind ``hessian`` change least.

    Args:
        weight: ``[out, ...]``; trailing dimensions are flattened to ``in``.
        hessian: damped, float32 ``[in, in]``.
        weight_format: of the result.
        settings: order and block size.
        smallest: float64 ``[out]``, a lower bound of each channel's scale.
        tasks: who rounds, some output channels at a time.
    """
    order = _order(hessian.diagonal(), weight_format.group, settings.order)
    factor = inverse_factor(hessian, order)
    starts = _starts(order, weight_format.group, settings.block)
    channels = _Channels(hessian, factor, order, starts, weight_format)
    parts = tasks.map(channels, _pieces(weight, smallest, tasks.width))
    return QuantizedWeight.joined(list(parts))


_Piece = tuple[np.ndarray, np.ndarray | None]
"""Rows of a weight, float32 ``[out, in]``, and the lower bound of each one's scale."""


def _pieces(weight: Weight, smallest: np.ndarray | None, width: int) -> Iterator[_Piece]:
    """The rows of a weight: as many pieces as can be rounded at once, of :data:`ROWS` at most."""
    count = weight.shape[0]
    size = min(ROWS, -(-count // width))
    for first in range(0, count, ROWS):
        rows = weight.read(first, min(first + ROWS, count)).flatten(1).numpy()
        for start in range(0, len(rows), size):
            at = slice(first + start, first + min(start + size, len(rows)))
            yield rows[start : start + size], None if smallest is None else smallest[at]


@dataclass(frozen=True)
class _Channels:
    """Rounds output channels; the attributes are what all channels share.

    Attributes:
        hessian: float32 ``[in, in]``.
        factor: that of its inverse, the columns in the order they are rounded.
        order: of the columns.
        starts: where blocks begin, then the end.
        chosen: the format.
    """

    hessian: Tensor
    factor: Tensor
    order: Tensor
    starts: Sequence[int]
    chosen: WeightFormat

    def __call__(self, piece: _Piece) -> QuantizedWeight:
        rows = torch.from_numpy(piece[0]).to(self.hessian.device)
        floor = None if piece[1] is None else torch.from_numpy(piece[1])
        scales = _first_scales(rows, self.chosen, floor)
        solver = _Solver(rows[:, self.order].T.contiguous(), self.factor, self.chosen, scales)
        solver.run(self.starts)
        codes, scales = _restored(solver, self.order, self.starts)
        CoordinateDescent(rows.T, codes, scales, self.hessian, self.chosen).run()
        return QuantizedWeight.of(codes.T, scales, self.chosen)


def _starts(order: Tensor, group: int | None, block: int) -> list[int]:
    """Where blocks begin, then the end: each group is one, wherever the short last one stands."""
    if group is None:
        return [*range(0, len(order), block), len(order)]
    of = order // group
    return [0, *(of[1:] != of[:-1]).nonzero().flatten().add(1).tolist(), len(order)]


def _restored(solver: _Solver, order: Tensor, starts: Sequence[int]) -> tuple[Tensor, GroupScales]:
    """Codes ``[in, out]`` and scales with the columns and groups where they belong."""
    codes = torch.empty_like(solver.codes)
    codes[order] = solver.codes
    integers = solver.scales.integers
    if integers is not None:
        assert solver.chosen.group is not None
        groups = order[starts[:-1]] // solver.chosen.group
        whole = torch.empty_like(integers)
        whole[:, groups] = integers
        integers = whole
    return codes, GroupScales(solver.scales.channel, integers)


def _order(diagonal: Tensor, group: int | None, wanted: bool) -> Tensor:
    """Columns in the order they are rounded: the groups by their largest input, then within."""
    columns = torch.arange(len(diagonal), device=diagonal.device)
    if not wanted:
        return columns
    if group is None:
        return diagonal.argsort(descending=True, stable=True)
    size = pad_groups(diagonal[None], group)[0]
    groups = size.amax(1).argsort(descending=True, stable=True)
    within = size[groups].argsort(dim=1, descending=True, stable=True)
    order = (groups[:, None] * group + within).flatten()
    return order[order < len(diagonal)]


def _first_scales(rows: Tensor, chosen: WeightFormat, floor: Tensor | None) -> GroupScales:
    """Scales of the unchanged rows; those of groups are chosen again when they are reached."""
    floor = None if floor is None else floor.to(rows)
    if chosen.group is None:
        return GroupScales(channel_scale(rows, chosen.codes, floor, chosen.search), None)
    return group_scales(pad_groups(rows, chosen.group), chosen.codes, floor, chosen.search)


class _Solver:
    """The state of one run. Columns of the weight are rows here, so that each is contiguous."""

    def __init__(
        self, weight: Tensor, factor: Tensor, chosen: WeightFormat, scales: GroupScales
    ) -> None:
        self.weight, self.factor, self.chosen, self.scales = weight, factor, chosen, scales
        self.codes = torch.empty_like(weight)

    def run(self, starts: Sequence[int]) -> None:
        """Round all columns; ``starts`` are where blocks begin and, at last, the end."""
        limits = (self.chosen.codes.lowest, self.chosen.codes.largest)
        for block, (start, stop) in enumerate(pairwise(starts)):
            weight, codes = self.weight[start:stop], self.codes[start:stop]
            factor, scale = self.factor[start:stop], self._scale(block, start, stop)
            errors = round_columns(weight, scale, factor[:, start:stop], codes, limits)
            add_product(self.weight[stop:], factor[:, stop:].T, errors, -1)

    def _scale(self, block: int, start: int, stop: int) -> Tensor:
        """The scale ``[out]`` of the block's columns as the errors so far have left them."""
        if self.scales.integers is None:
            return self.scales.channel
        columns, chosen = self.weight[start:stop].T, self.chosen
        importance = 1 / self.factor.diagonal()[start:stop].square()
        real = real_scale(columns, chosen.codes, chosen.search, importance)
        whole = whole_scale(real, self.scales.channel)
        self.scales.integers[:, block] = whole
        return whole * self.scales.channel
