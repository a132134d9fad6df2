"""Hadamard matrices and random rotations.

Paley's constructions (1933) give the odd part of the size, Sylvester's doubling (1867) the
power of two; sizes such as 896, 1280, 1536, 3584, 4864, 5120 and 8960 are covered. Where no
construction applies, a rotation is the Kronecker product of a small random orthogonal matrix
and the largest Hadamard matrix whose size divides the wanted one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vlmforge.arithmetic.factors import orthonormal


def random_rotation(size: int, seed: int) -> Tensor:
    """A seeded orthogonal matrix ``[size, size]``, float64: random Hadamard where one exists.

    A random Hadamard matrix is ``diag(s) H / sqrt(size)`` with random signs ``s`` (QuIP#,
    SpinQuant), for row vectors: signs behind H would change nothing but the signs of the rotated
    channels. The result does not depend on the device or the global random state.
    """
    generator = torch.Generator().manual_seed(seed)
    matrix = hadamard(size)
    if matrix is None:
        matrix = _nearly_hadamard(size, generator)
    signs = torch.randint(0, 2, (size,), generator=generator).double() * 2 - 1
    return signs[:, None] * matrix / math.sqrt(size)


def _nearly_hadamard(size: int, generator: torch.Generator) -> Tensor:
    """``sqrt(m) Q x H`` with ``Q`` orthogonal ``[m, m]`` and the largest ``H`` there is."""
    for blocks in range(2, size + 1):
        matrix = hadamard(size // blocks) if size % blocks == 0 else None
        if matrix is not None:
            break
    assert matrix is not None  # hadamard(1) exists
    normal = torch.randn(blocks, blocks, generator=generator, dtype=torch.float64)
    spread = orthonormal(normal) * math.sqrt(blocks)
    return torch.kron(spread.contiguous(), matrix)


def hadamard(size: int) -> Tensor | None:
    """A Hadamard matrix ``[size, size]`` of +1 and -1, float64, or None if no construction fits."""
    matrix, core = None, size
    while matrix is None:
        matrix = _paley(core)
        if matrix is None and core % 2:
            return None
        core = core if matrix is not None else core // 2
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64), matrix)
    return matrix


def _paley(size: int) -> Tensor | None:
    if size in (1, 2):
        return torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)[:size, :size]
    if size % 4 == 0 and _is_prime(size - 1):
        return _conference(size - 1, skew=True) + torch.eye(size, dtype=torch.float64)
    prime = size // 2 - 1
    if size % 4 == 0 and prime % 4 == 1 and _is_prime(prime):
        conference, eye = _conference(prime, skew=False), torch.eye(prime + 1, dtype=torch.float64)
        plus = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
        minus = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
        return torch.kron(conference, plus) + torch.kron(eye, minus)
    return None


def _conference(prime: int, skew: bool) -> Tensor:
    residues = torch.zeros(prime, dtype=torch.bool)
    residues[torch.arange(1, prime) ** 2 % prime] = True
    character = torch.where(residues, 1.0, -1.0).double()
    character[0] = 0
    index = torch.arange(prime)
    matrix = torch.ones(prime + 1, prime + 1, dtype=torch.float64)
    matrix[0, 0] = 0
    matrix[1:, 0] = -1 if skew else 1
    matrix[1:, 1:] = character[(index[None] - index[:, None]) % prime]
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))
