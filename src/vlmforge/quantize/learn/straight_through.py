"""Rounding that gradients pass as if it were not there (Bengio et al. 2013)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vlmforge.quantize.scales.grid import Grid
from vlmforge.quantize.weights.scales import CodeRange


def on_grid(value: Tensor, grid: Grid | None) -> Tensor:
    """A value on its grid, or as it is."""
    if grid is None:
        return value
    rounded: Tensor = _OnGrid.apply(value, grid)
    return rounded


def whole_codes(codes: Tensor, codes_range: CodeRange) -> Tensor:
    """Real codes as the nearest integers there are; beyond the last one gradients end."""
    whole: Tensor = _Whole.apply(codes, codes_range)
    return whole


class _OnGrid(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, grid: Grid) -> Tensor:
        return grid.round(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, codes: Tensor, codes_range: CodeRange) -> Tensor:
        whole = codes_range.round(codes.clone())
        context.save_for_backward((codes - whole).abs() <= 0.5)
        return whole

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (within,) = context.saved_tensors
        return gradient * within, None
