"""The token embedding, rotated like the residual stream it enters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from vlmforge.arithmetic.products import product
from vlmforge.formats.rotation import Rotation
from vlmforge.graph.core import Weight

ROWS = 8192
"""Tokens rotated at once."""


def rotated_rows(embedding: Weight, rotation: Rotation | None) -> Iterator[np.ndarray]:
    """Blocks ``[rows, hidden]`` float32 of ``E R``, computed in float64; ``E`` if no rotation."""
    for start in range(0, embedding.shape[0], ROWS):
        rows = embedding.read(start, min(start + ROWS, embedding.shape[0]))
        yield rows.numpy() if rotation is None else _rotated(rows, rotation.matrix)


def _rotated(rows: torch.Tensor, matrix: torch.Tensor) -> np.ndarray:
    return product(rows.double(), matrix).float().numpy()
