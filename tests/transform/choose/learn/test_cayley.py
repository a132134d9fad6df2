"""Descent over orthogonal matrices."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmforge.transform.choose.learn.cayley import CayleySGD, nearest_orthogonal
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.mean_keeping import keeps_mean, mean_keeping_rotation, without_mean


@settings(max_examples=20, deadline=None)
@given(size=st.integers(2, 24), seed=st.integers(0, 1000), rate=st.floats(1e-3, 10))
def test_it_descends_and_stays_orthogonal(size: int, seed: int, rate: float) -> None:
    matrix = random_rotation(size, seed).float()
    target = random_rotation(size, seed + 1).float()
    if torch.det(matrix) * torch.det(target) < 0:
        target[:, 0] = -target[:, 0]  # the curve never leaves its half of the group
    before = (matrix - target).square().sum()
    descent = CayleySGD([matrix])
    for done in range(100):
        descent.step([2 * (matrix - target)], rate * (1 - done / 100))
    assert (matrix - target).square().sum() <= before + 1e-4
    assert (matrix @ matrix.T - torch.eye(size)).abs().max() < 1e-2


def test_it_finds_a_near_rotation() -> None:
    target = random_rotation(16, 0).float()
    skew = torch.randn(16, 16, generator=torch.Generator().manual_seed(1)) * 0.05
    matrix = target @ torch.linalg.matrix_exp(skew - skew.T)
    descent = CayleySGD([matrix])
    for done in range(200):
        descent.step([2 * (matrix - target)], 0.1 * (1 - done / 200))
    assert (matrix - target).abs().max() < 1e-2


@settings(max_examples=20, deadline=None)
@given(size=st.integers(3, 24), seed=st.integers(0, 1000), rate=st.floats(1e-3, 1))
def test_the_mean_is_kept(size: int, seed: int, rate: float) -> None:
    matrix = mean_keeping_rotation(size, seed).float()
    target = random_rotation(size, seed + 1).float()
    descent = CayleySGD([matrix], [True])
    for done in range(30):
        descent.step([2 * (matrix - target)], rate * (1 - done / 30))
    assert torch.stack([matrix.sum(0), matrix.sum(1)]).sub(1).abs().max() < 1e-4
    assert keeps_mean(nearest_orthogonal(matrix, keeping=True))


def test_it_finds_a_near_rotation_that_keeps_the_mean() -> None:
    target = mean_keeping_rotation(16, 0).float()
    skew = torch.randn(16, 16, generator=torch.Generator().manual_seed(1)) * 0.05
    skew = without_mean(skew - skew.T)
    matrix = target @ torch.linalg.matrix_exp(skew)
    descent = CayleySGD([matrix], [True])
    for done in range(200):
        descent.step([2 * (matrix - target)], 0.1 * (1 - done / 200))
    assert (matrix - target).abs().max() < 1e-2


def test_the_nearest_orthogonal_matrix_is_exact_to_rounding() -> None:
    noisy = random_rotation(12, 0) + 1e-3
    matrix = nearest_orthogonal(noisy)
    assert (matrix @ matrix.T - torch.eye(12)).abs().max() < 1e-12
    assert (matrix - noisy).abs().max() < 12e-3
