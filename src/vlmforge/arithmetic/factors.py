"""Cholesky factors and orthonormal columns."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.products import add_product, product

BLOCK = 64
"""Columns factored one by one; of larger matrices the halves are, one after the other."""


def inverse_cholesky(matrix: Tensor) -> Tensor:
    """``L^-1``, lower triangular, with ``matrix = L L^T``; not finite where there is no such L.

    Args:
        matrix: ``[n, n]``, symmetric; it is overwritten.
    """
    inverse = torch.zeros_like(matrix)
    _factor(matrix, inverse)
    return inverse


def orthonormal(matrix: Tensor) -> Tensor:
    """The Q of ``matrix = Q R`` with positive diagonal of R, for ``[m, n]`` of n ≤ m columns.

    By a Cholesky factor of the columns' products, twice (Yamamoto et al. 2015, CholeskyQR2); the
    columns should be about as independent as random ones.
    """
    for _ in range(2):
        matrix = product(matrix, inverse_cholesky(product(matrix.T, matrix)).T)
    return matrix


def _factor(matrix: Tensor, inverse: Tensor) -> None:
    """Let ``inverse``, zeros at first, be L^-1."""
    size = len(matrix)
    if size <= BLOCK:
        _invert(_factor_columns(matrix), inverse)
        return
    half = (size // 2 + BLOCK - 1) // BLOCK * BLOCK
    corner, beyond = inverse[:half, :half], inverse[half:, half:]
    _factor(matrix[:half, :half], corner)
    below = product(matrix[half:, :half], corner.T)
    for start in range(half, size, 4 * BLOCK):
        rows = below[start - half :]
        add_product(matrix[start:, start : start + 4 * BLOCK], rows, rows[: 4 * BLOCK].T, -1)
    _factor(matrix[half:, half:], beyond)
    add_product(inverse[half:, :half], product(beyond, below), corner, -1)


def _factor_columns(matrix: Tensor) -> Tensor:
    """L in the lower triangle, column after column."""
    for column in range(len(matrix)):
        found = matrix[column:, column] / matrix[column, column].sqrt()
        matrix[column:, column] = found
        matrix[column + 1 :, column + 1 :] -= found[1:, None] * found[1:]
    return matrix


def _invert(factor: Tensor, inverse: Tensor) -> None:
    """The rows of L^-1 by forward substitution; above its diagonal the factor is not read."""
    inverse.diagonal().fill_(1)
    for row in range(len(factor)):
        inverse[row] /= factor[row, row]
        inverse[row + 1 :] -= factor[row + 1 :, row, None] * inverse[row]
