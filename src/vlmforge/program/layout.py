"""The blocked order in which product weights are stored and read.

A row-major ``[N, K]`` int8 matrix is padded with zeros to multiples of 16 and 4 and stored as
``[N/16, K/4, 16, 4]``: one 64-byte line holds four consecutive K for sixteen output channels,
which is what one dot-product instruction of AVX-512 (or two of AVX2, four of NEON) consumes.

An int4 matrix is stored as two such lines in one, ``[N/16, K/8, 16, 4]`` uint8: the low nibbles
are the line of the first four of eight columns, the high nibbles that of the other four, so that
a mask and a shift give two int8 lines. A nibble is the code plus 8.
"""

from __future__ import annotations

import numpy as np

ROWS, COLUMNS = 16, 4
INT4_COLUMNS = 2 * COLUMNS
INT4_OFFSET = 8
"""What is added to an int4 code, −8 to 7, to make its nibble."""


def pack(weight: np.ndarray) -> np.ndarray:
    """Block a row-major ``[N, K]`` int8 matrix into ``[ceil(N/16), ceil(K/4), 16, 4]``."""
    n, k = weight.shape
    padded = np.pad(weight, ((0, -n % ROWS), (0, -k % COLUMNS)))
    blocks = padded.reshape(padded.shape[0] // ROWS, ROWS, padded.shape[1] // COLUMNS, COLUMNS)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def pack_int4(weight: np.ndarray) -> np.ndarray:
    """Block row-major ``[N, K]`` codes in [-8, 7] into uint8 ``[ceil(N/16), ceil(K/8), 16, 4]``."""
    whole = np.pad(weight, ((0, 0), (0, -weight.shape[1] % INT4_COLUMNS)))
    nibbles = (pack(whole) + np.int8(INT4_OFFSET)).view(np.uint8)
    return nibbles[:, 0::2] | (nibbles[:, 1::2] << np.uint8(4))


def unpack(blocks: np.ndarray, n: int, k: int) -> np.ndarray:
    """The row-major int8 ``[n, k]`` codes of int8 :func:`pack` or uint8 :func:`pack_int4`."""
    if blocks.dtype == np.uint8:
        blocks = _lines(blocks)
    rows, columns, _, _ = blocks.shape
    return blocks.transpose(0, 2, 1, 3).reshape(rows * ROWS, columns * COLUMNS)[:n, :k]


def pack_group_scale(scales: np.ndarray) -> np.ndarray:
    """Block int8 ``[N, G]`` scales of groups into ``[ceil(N/16), G, 16]``; padding rows hold 1."""
    n, groups = scales.shape
    padded = np.pad(scales, ((0, -n % ROWS), (0, 0)), constant_values=1)
    return np.ascontiguousarray(padded.reshape(-1, ROWS, groups).transpose(0, 2, 1))


def unpack_group_scale(blocks: np.ndarray, n: int) -> np.ndarray:
    """The int8 ``[n, G]`` scales of :func:`pack_group_scale`'s result."""
    return blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])[:n]


def _lines(blocks: np.ndarray) -> np.ndarray:
    """The int8 lines ``[N/16, K/4, 16, 4]`` of int4 ones."""
    rows, columns, _, _ = blocks.shape
    lines = np.empty((rows, 2 * columns, ROWS, COLUMNS), np.uint8)
    np.bitwise_and(blocks, np.uint8(15), out=lines[:, 0::2])
    np.right_shift(blocks, np.uint8(4), out=lines[:, 1::2])
    lines -= np.uint8(INT4_OFFSET)
    return lines.view(np.int8)
