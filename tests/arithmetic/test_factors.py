"""Cholesky factors and orthonormal columns, the same on any machine."""

from __future__ import annotations

import pytest
import torch

from tests.arithmetic.machines import normal, require_equal
from vlmforge.arithmetic.factors import inverse_cholesky, orthonormal


def second_moment(size: int) -> torch.Tensor:
    """A positive definite matrix."""
    rows = normal(2 * size, size)
    return rows.T @ rows / (2 * size) + 0.1 * torch.eye(size)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 130, 400])
def test_the_inverse_of_the_factor(size: int) -> None:
    matrix = second_moment(size)
    found = inverse_cholesky(matrix.clone())
    assert torch.equal(found, found.tril())
    wanted = torch.linalg.inv(torch.linalg.cholesky(matrix.double()))
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=1e-4)


def test_no_machine_changes_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = second_moment(300)
    require_equal(monkeypatch, lambda: inverse_cholesky(matrix.clone()))


def test_an_indefinite_matrix_has_no_factor() -> None:
    matrix = second_moment(100)
    matrix[60, 60] = -1.0
    assert not inverse_cholesky(matrix).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (20, 20), (50, 49), (100, 7)])
def test_orthonormal_columns(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    matrix = normal(*shape, dtype=torch.float64)
    found = require_equal(monkeypatch, lambda: orthonormal(matrix))
    q, r = torch.linalg.qr(matrix)
    torch.testing.assert_close(found, q * r.diagonal().sign(), atol=1e-10, rtol=1e-10)
