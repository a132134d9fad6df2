"""Hadamard matrices and the rotations made of them."""

from __future__ import annotations

import pytest
import torch

from vlmforge.transform.hadamard import hadamard, random_rotation

CORES = {
    64: 2,
    80: 20,
    96: 12,
    896: 28,
    1280: 20,
    1536: 12,
    3584: 28,
    4864: 76,
    5120: 20,
    8960: 140,
}
"""Head dimensions, hidden and intermediate sizes of the Qwen2 family, and a Hadamard matrix that
doubles up to each."""


@pytest.mark.parametrize("size", [1, 320, 896, 1280, 1536, *sorted(set(CORES.values()))])
def test_hadamard_matrices_are_orthogonal(size: int) -> None:
    matrix = hadamard(size)
    assert matrix is not None
    assert set(matrix.unique().tolist()) <= {-1.0, 1.0}
    assert torch.equal(matrix @ matrix.T, size * torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize(("size", "core"), CORES.items())
def test_model_sizes_double_up_from_one(size: int, core: int) -> None:
    doublings, rest = divmod(size, core)
    assert rest == 0
    assert doublings & (doublings - 1) == 0


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


def test_seeds_differ_by_more_than_the_signs_of_channels() -> None:
    row = torch.randn(1, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = (row @ random_rotation(96, seed) for seed in (0, 1))
    assert (first.abs() - second.abs()).abs().max() > 0.1
