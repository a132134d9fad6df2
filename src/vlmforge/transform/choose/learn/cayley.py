"""Cayley SGD: descent over orthogonal matrices (Li et al. 2020, algorithm 1).

"Efficient Riemannian optimization on the Stiefel manifold via the Cayley transform", the
optimizer SpinQuant (Liu et al. 2024) learns its rotations with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vlmforge.transform.mean_keeping import without_mean

MOMENTUM = 0.9

ITERATIONS = 2
"""Fixed-point iterations that stand for the inverse in the Cayley transform."""

CONTRACTION = 0.5
"""The step times the norm of its generator stays below twice this, so that they contract."""


class CayleySGD:
    """Descends along the manifold from orthogonal ``[n, n]`` tensors, changed in place.

    Args:
        matrices: to change.
        keeping: which of them keep the mean of rows, and go on to; none by default.
    """

    def __init__(self, matrices: Sequence[Tensor], keeping: Sequence[bool] | None = None) -> None:
        self.matrices = list(matrices)
        self.keeping = keeping or [False] * len(self.matrices)
        self.momenta = [torch.zeros_like(matrix) for matrix in self.matrices]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step of length ``rate`` against the gradients, shortened where it must be."""
        for i, (matrix, gradient) in enumerate(zip(self.matrices, gradients, strict=True)):
            generator = _skew(matrix, MOMENTUM * self.momenta[i] - gradient)
            generator = without_mean(generator) if self.keeping[i] else generator
            self.momenta[i] = generator @ matrix
            bound = 2 * CONTRACTION / (torch.linalg.matrix_norm(generator).item() + 1e-30)
            size = min(rate, bound)
            moved = matrix + size * self.momenta[i]
            for _ in range(ITERATIONS):
                moved = matrix + size / 2 * generator @ (matrix + moved)
            matrix.copy_(_polished(moved))


def nearest_orthogonal(matrix: Tensor, keeping: bool = False) -> Tensor:
    """The closest orthogonal matrix, float64, by its polar decomposition.

    Args:
        matrix: ``[n, n]``, nearly orthogonal.
        keeping: whether to keep the mean of rows, as the matrix nearly does.
    """
    double = matrix.double()
    if keeping:
        double = without_mean(double) + 1 / len(double)
    left, _, right = torch.linalg.svd(double)
    return left @ right


def _skew(matrix: Tensor, momentum: Tensor) -> Tensor:
    """The skew-symmetric generator whose curve leaves ``matrix`` along the projected momentum."""
    half = momentum @ matrix.T - matrix @ (matrix.T @ momentum @ matrix.T) / 2
    return half - half.T


def _polished(matrix: Tensor) -> Tensor:
    """One Newton-Schulz step towards the nearest orthogonal matrix."""
    return 1.5 * matrix - 0.5 * matrix @ (matrix.T @ matrix)
