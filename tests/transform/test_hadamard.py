"""Hadamard matrices and the rotations made of them."""

from __future__ import annotations

import pytest
import torch

from vlmforge.transform.hadamard import hadamard, random_rotation

MODEL_SIZES = [64, 80, 96, 128, 320, 896, 1280, 1536, 3584, 4864, 5120, 8960]
"""Head dimensions, hidden and intermediate sizes of the Qwen2 family."""


@pytest.mark.parametrize("size", [1, 2, 12, 140, *MODEL_SIZES])
def test_hadamard_matrices_are_orthogonal(size: int) -> None:
    matrix = hadamard(size)
    assert matrix is not None
    assert matrix.shape == (size, size)
    assert set(matrix.unique().tolist()) <= {-1.0, 1.0}
    rows = torch.arange(0, size, max(1, size // 64))
    wanted = torch.zeros(len(rows), size, dtype=torch.float64)
    wanted[torch.arange(len(rows)), rows] = size
    assert torch.equal(matrix[rows] @ matrix.T, wanted)


@pytest.mark.parametrize(("size", "block"), [(6, 3), (7, 7), (18, 9), (100, 5), (92, 23)])
def test_other_sizes_take_blocks_of_a_small_orthogonal_matrix(size: int, block: int) -> None:
    assert hadamard(size) is None
    matrix = random_rotation(size, 3)
    assert (matrix @ matrix.T - torch.eye(size)).abs().max() < 1e-12
    assert torch.equal(matrix, random_rotation(size, 3))
    assert not torch.equal(matrix, random_rotation(size, 4))
    assert len(matrix.abs().round(decimals=9).unique()) <= block**2


@pytest.mark.parametrize("size", [64, 896])
def test_a_rotation_spreads_one_channel_evenly(size: int) -> None:
    assert random_rotation(size, 0).abs().max() < (1 + 1e-9) / size**0.5
