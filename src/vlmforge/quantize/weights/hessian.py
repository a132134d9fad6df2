"""The second moment of a product's inputs, and the factor that error compensation needs of it."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.factors import inverse_cholesky
from vlmforge.arithmetic.products import add_product
from vlmforge.arithmetic.sums import mean
from vlmforge.errors import CalibrationError

SHRINKAGE = 0.5
"""Damping added for each column a row has to stand for. Measured: the damping with which outputs
change least on unseen rows is about as large, for 896 and 4864 columns and 1024 and 4096 rows."""

BLOCK = 512
"""Columns whose products with the columns before them are not computed: they are known."""

ATTEMPTS = 6
"""Tenfold increases of the damping before a matrix is given up as not positive definite."""


class Hessian:
    """``H = X^T X / rows`` of a product's input rows X, float32 ``[in, in]``.

    It is the Hessian of the squared error of the product's output in the weights of one output
    channel (Optimal Brain Surgeon, Hassibi and Stork 1993), but for a factor.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self._sum = torch.zeros(size, size, device=device)
        self._rows = 0

    def add(self, rows: Tensor) -> None:
        """Count in ``rows`` [rows, in]."""
        for start in range(0, rows.shape[1], BLOCK):
            block = rows[:, start : start + BLOCK]
            add_product(self._sum[start : start + BLOCK, start:], block.T, rows[:, start:], 1)
        self._rows += len(rows)

    def damped(self, damping: float) -> Tensor:
        """H with a share of the mean of its diagonal added to the diagonal; ends the counting.

        The share is ``damping``, and more the fewer rows there were for the columns: a sample's
        second moment overstates how much columns go together (Ledoit and Wolf 2004).
        """
        rows, size = max(1, self._rows), len(self._sum)
        matrix = self._sum.div_(rows)
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            matrix[stop:, start:stop] = matrix[start:stop, stop:].T
        middle = mean(matrix.diagonal()).clamp_min(1e-30)
        matrix.diagonal().add_((damping + SHRINKAGE * size / rows) * middle)
        return matrix


def inverse_factor(matrix: Tensor) -> Tensor:
    """The upper triangular U with ``U^T U = matrix^-1``.

    From ``matrix = V V^T`` with V upper triangular, U = V^-1; V is the Cholesky factor of the
    matrix with its order reversed. Where rounding made the matrix indefinite, more is added to
    its diagonal, in place.

    Raises:
        CalibrationError: even that does not help.
    """
    middle = mean(matrix.diagonal())
    for attempt in range(ATTEMPTS):
        inverse = inverse_cholesky(matrix.flip(0, 1))
        if inverse.isfinite().all():
            return inverse.flip(0, 1)
        matrix.diagonal().add_(10.0 ** (attempt - ATTEMPTS + 1) * middle)
    raise CalibrationError(
        "the inputs of a product cannot be used for error compensation: they are not finite",
        mend="check the calibration samples, or set hessianQuant.apply to false",
    )
