"""The factor that error compensation needs: exact, and the same on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vlmforge.quantize.weights import hessian
from vlmforge.quantize.weights.hessian import cholesky, inverse_factor


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads as before, whatever a test sets."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def second_moment(size: int, seed: int = 0) -> torch.Tensor:
    """A positive definite matrix."""
    rows = torch.randn(2 * size, size, generator=torch.Generator().manual_seed(seed))
    return rows.T @ rows / (2 * size) + 0.1 * torch.eye(size)


@pytest.mark.parametrize("panel", [7, 64, 1024])
def test_panels_make_the_factor(monkeypatch: pytest.MonkeyPatch, panel: int) -> None:
    monkeypatch.setattr(hessian, "PANEL", panel)
    matrix = second_moment(150)
    factor = cholesky(matrix.clone())
    assert factor is not None and torch.equal(factor, factor.tril())
    torch.testing.assert_close(factor, torch.linalg.cholesky(matrix), atol=1e-5, rtol=1e-5)


def test_the_number_of_threads_changes_no_bit() -> None:
    matrix, factors = second_moment(1500), []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        factors.append(inverse_factor(matrix.clone()))
        assert torch.get_num_threads() == count
    assert torch.equal(factors[0], factors[1]) and torch.equal(factors[0], factors[2])


def test_an_indefinite_matrix_has_no_factor() -> None:
    matrix = second_moment(100)
    matrix[60, 60] = -1.0
    assert cholesky(matrix) is None
