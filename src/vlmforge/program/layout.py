"""The blocked order in which product weights are stored and read.

A row-major ``[N, K]`` int8 matrix is padded with zeros to multiples of 16 and 4 and stored as
``[N/16, K/4, 16, 4]``: one 64-byte line holds four consecutive K for sixteen output channels,
which is what one dot-product instruction of AVX-512 (or two of AVX2, four of NEON) consumes.
"""

from __future__ import annotations

import numpy as np

ROWS, COLUMNS = 16, 4


def pack(weight: np.ndarray) -> np.ndarray:
    """Block a row-major ``[N, K]`` int8 matrix into ``[ceil(N/16), ceil(K/4), 16, 4]``."""
    n, k = weight.shape
    padded = np.pad(weight, ((0, -n % ROWS), (0, -k % COLUMNS)))
    blocks = padded.reshape(padded.shape[0] // ROWS, ROWS, padded.shape[1] // COLUMNS, COLUMNS)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def unpack(blocks: np.ndarray, n: int, k: int) -> np.ndarray:
    """The row-major ``[n, k]`` matrix of :func:`pack`'s result."""
    rows, columns, _, _ = blocks.shape
    return blocks.transpose(0, 2, 1, 3).reshape(rows * ROWS, columns * COLUMNS)[:n, :k]
