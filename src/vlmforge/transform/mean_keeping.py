"""Rotations that keep the mean of a row, and so pass a LayerNorm.

With ``R 1 = 1`` and ``R' 1 = 1``, ``1`` the vector of ones, every row of ``x R`` has the sum of its
row of ``x``: ``ln(x R) = ln(x) R``, of one row and of several side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.factors import orthonormal
from vlmforge.arithmetic.products import product
from vlmforge.arithmetic.sums import row_means
from vlmforge.graph.core import Graph
from vlmforge.graph.residual import residual

REGULAR = torch.ones(4, 4, dtype=torch.float64) - 2 * torch.eye(4, dtype=torch.float64).flip(0)
"""A Hadamard matrix whose rows and columns all have the sum 2."""

DRAWS = 64
"""Small matrices among which the one that spreads best is taken."""


def mean_keeping_rotation(size: int, seed: int) -> Tensor:
    """A seeded rotation ``[size, size]``, float64, that keeps the mean.

    It is the Kronecker product of a small random orthogonal matrix that keeps the mean and a power
    of :data:`REGULAR`, with rows and columns in random order. Random signs would move the mean.
    """
    generator = torch.Generator().manual_seed(seed)
    matrix, rest = torch.ones(1, 1, dtype=torch.float64), size
    while rest % 4 == 0 and rest != 8:  # of size 2, only a permutation keeps the mean
        matrix, rest = torch.kron(matrix, REGULAR / 2), rest // 4
    drawn = (_drawn(rest, generator) for _ in range(DRAWS))
    matrix = torch.kron(min(drawn, key=lambda small: small.abs().max().item()), matrix)
    rows, columns = (torch.randperm(size, generator=generator) for _ in range(2))
    return matrix[rows][:, columns]


def _drawn(size: int, generator: torch.Generator) -> Tensor:
    """``11'/n + A B'`` with random orthonormal bases A and B of the rows whose mean is 0."""
    normal = torch.randn(2, size, size - 1, generator=generator, dtype=torch.float64)
    means = row_means(normal.mT)
    first, second = (orthonormal(each) for each in normal - means[:, None])
    return product(first, second.T) + 1 / size


def normalizes_mean(graph: Graph) -> bool:
    """Whether a LayerNorm reads the residual stream, so that its rotation has to keep the mean."""
    return any(node.op == "layer_norm" for node in residual(graph).readers)


def keeps_mean(rotation: Tensor) -> bool:
    """Whether an orthogonal matrix, float64, keeps the mean."""
    return bool((rotation.sum(1) - 1).abs().max() < 1e-9)


def without_mean(matrix: Tensor) -> Tensor:
    """``P matrix P`` with ``P = I - 11'/n``: what changes a rotation and leaves it the mean."""
    centred = matrix - matrix.mean(0, keepdim=True)
    return centred - centred.mean(1, keepdim=True)
