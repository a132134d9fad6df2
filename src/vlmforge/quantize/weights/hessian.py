"""The second moment of a product's inputs, and the factor that error compensation needs of it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from vlmforge.arithmetic.factors import inverse_cholesky
from vlmforge.arithmetic.kernels import has_order
from vlmforge.arithmetic.products import add_product
from vlmforge.arithmetic.sums import mean
from vlmforge.arithmetic.whole import MOST_ROWS, add_gram
from vlmforge.errors import CalibrationError
from vlmforge.quantize.scales.grid import INT8, Grid

SHRINKAGE = 0.5
"""Damping added for each column a row has to stand for. Measured: the damping with which outputs
change least on unseen rows is about as large, for 896 and 4864 columns and 1024 and 4096 rows."""

BLOCK = 512
"""Columns whose products with the columns before them are not computed: they are known."""

AT_ONCE = 4096
"""Rows of codes that are counted in together, about."""

ATTEMPTS = 6
"""Tenfold increases of the damping before a matrix is given up as not positive definite."""


class Hessian(Protocol):
    """``H = X^T X / rows`` of a product's input rows X, float32 ``[in, in]``.

    It is the Hessian of the squared error of the product's output in the weights of one output
    channel (Optimal Brain Surgeon, Hassibi and Stork 1993), but for a factor.
    """

    def add(self, rows: Tensor) -> None:
        """Count in ``rows`` [rows, in]."""

    def damped(self, damping: float) -> Tensor:
        """H with a share of the mean of its diagonal added to the diagonal; ends the counting.

        The share is ``damping``, and more the fewer rows there were for the columns: a sample's
        second moment overstates how much columns go together (Ledoit and Wolf 2004).
        """


def hessian_of(size: int, grid: Grid | None, device: str) -> Hessian:
    """The Hessian of a product with ``size`` inputs.

    Args:
        size: columns of its rows.
        grid: what these are codes of; None where they are real.
        device: where they are, as torch names it.
    """
    if grid is None or grid.limit > INT8 or grid.scale.numel() > 1 or not has_order(device):
        return RealHessian(size, device, grid)
    scale = grid.scale.item()
    return CodeHessian(
        size, scale, 0 if grid.centre is None else -round(grid.centre.item() / scale)
    )


class RealHessian:
    """Of real rows, or of what rows of codes stand for; see :class:`Hessian`."""

    def __init__(self, size: int, device: str = "cpu", grid: Grid | None = None) -> None:
        self._sum = torch.zeros(size, size, device=device)
        self._grid, self._rows = grid, 0

    def add(self, rows: Tensor) -> None:
        """See :class:`Hessian`."""
        self._rows += len(rows)
        real = rows if self._grid is None else self._grid.real(rows)
        for start in range(0, real.shape[1], BLOCK):
            block = real[:, start : start + BLOCK]
            add_product(self._sum[start : start + BLOCK, start:], block.T, real[:, start:], 1)

    def damped(self, damping: float) -> Tensor:
        """See :class:`Hessian`."""
        return _damped(self._sum.div_(max(1, self._rows)), self._rows, damping)


class CodeHessian:
    """Of rows of int8 codes on the CPU, whose sums are exact; see :class:`Hessian`.

    ``X' X = s^2 (C' C - z (S 1' + 1 S') + rows z^2)`` for ``X = s (C - z)`` and the sums S of the
    columns of C.
    """

    def __init__(self, size: int, scale: float, zero_point: int) -> None:
        self._scale, self._zero_point = scale, zero_point
        self._sums = torch.zeros(size, size, dtype=torch.int32)
        self._columns = torch.zeros(size, dtype=torch.int64)
        self._rows = self._summed = 0
        self._waiting: list[Tensor] = []
        self._before: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """See :class:`Hessian`."""
        self._rows += len(rows)
        self._columns += rows.sum(0, dtype=torch.int64)
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= AT_ONCE:
            self._count()

    def damped(self, damping: float) -> Tensor:
        """See :class:`Hessian`."""
        self._count()
        matrix = self._sums.view(torch.float32)
        shift = self._zero_point * self._columns.double()
        for start in range(0, len(matrix), BLOCK):
            part = slice(start, start + BLOCK)
            block = self._sums[part].double()
            if self._before is not None:
                block += self._before[part]
            block += self._rows * self._zero_point**2 - shift[part, None] - shift
            matrix[part] = block.mul_(self._scale**2 / max(1, self._rows))
        return _damped(matrix, self._rows, damping)

    def _count(self) -> None:
        """Count in what waits; sums that could outgrow 32 bits are put aside before."""
        waiting, self._waiting = self._waiting, []
        for part in torch.cat(waiting).split(AT_ONCE) if waiting else ():
            if self._summed + len(part) > MOST_ROWS:
                whole = self._sums.double()
                self._before = whole if self._before is None else self._before.add_(whole)
                self._sums.zero_()
                self._summed = 0
            add_gram(self._sums, part)
            self._summed += len(part)


def _damped(matrix: Tensor, rows: int, damping: float) -> Tensor:
    """A second moment of which the upper triangle is there, whole and damped, in place."""
    size = len(matrix)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
        corner = matrix[start:stop, start:stop]
        corner.copy_(corner.triu() + corner.triu(1).T)
    middle = mean(matrix.diagonal()).clamp_min(1e-30)
    matrix.diagonal().add_((damping + SHRINKAGE * size / max(1, rows)) * middle)
    return matrix


def inverse_factor(matrix: Tensor, order: Tensor) -> Tensor:
    """The upper triangular U with ``U^T U = M^-1``, for M the matrix in another order.

    From ``M = V V^T`` with V upper triangular, U = V^-1; V is the Cholesky factor of M with its
    order reversed. Where rounding made the matrix indefinite, more is added to the diagonal of M.

    Args:
        matrix: symmetric, float32 or float64 ``[n, n]``.
        order: of its rows and columns, int64 ``[n]``.

    Raises:
        CalibrationError: even that does not help.
    """
    middle, added = mean(matrix.diagonal()[order]), list[Tensor]()
    for attempt in range(ATTEMPTS):
        ordered = _ordered(matrix, order.flip(0))
        for each in added:
            ordered.diagonal().add_(each)
        inverse = inverse_cholesky(ordered)
        del ordered
        if inverse.isfinite().all():
            return inverse.flip(0, 1)
        added.append(10.0 ** (attempt - ATTEMPTS + 1) * middle)
    raise CalibrationError(
        "the inputs of a product cannot be used for error compensation: they are not finite",
        mend="check the calibration samples, or set hessianQuant.apply to false",
    )


def _ordered(matrix: Tensor, order: Tensor) -> Tensor:
    """A copy with rows and columns in another order; nothing else of its size is made."""
    found = torch.empty_like(matrix)
    for start in range(0, len(order), BLOCK):
        part = slice(start, start + BLOCK)
        found[part] = matrix[order[part]][:, order]
    return found
