"""The Hessian, and the factor that error compensation needs: the same on any machine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.errors import CalibrationError
from vlmforge.quantize.weights.hessian import Hessian, inverse_factor


def hessian_of(*samples: Tensor) -> Tensor:
    """The damped second moment of the samples' rows."""
    hessian = Hessian(samples[0].shape[1])
    for rows in samples:
        hessian.add(rows)
    return hessian.damped(0.05)


def test_no_machine_changes_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [normal(100 + i, 600, seed=i) for i in range(3)]
    hessian = require_equal(monkeypatch, lambda: hessian_of(*samples))
    assert torch.equal(hessian, hessian.T)
    rows = torch.cat(samples).double()
    damping = (hessian.diagonal().double() - rows.square().mean(0)).mean()
    wanted = rows.T @ rows / len(rows) + damping * torch.eye(600)
    torch.testing.assert_close(hessian.double(), wanted, atol=1e-4, rtol=1e-4)


def test_the_factor_of_the_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    hessian = hessian_of(normal(400, 200))
    factor = require_equal(monkeypatch, lambda: inverse_factor(hessian.clone()))
    assert torch.equal(factor, factor.triu())
    product = factor.double().T @ factor.double() @ hessian.double()
    torch.testing.assert_close(product, torch.eye(200).double(), atol=1e-3, rtol=1e-3)


def test_more_is_added_to_the_diagonal_of_an_indefinite_matrix() -> None:
    matrix = torch.eye(100)
    matrix[60, 60] = -1e-3
    before = matrix.clone()
    assert inverse_factor(matrix).isfinite().all()
    assert (matrix.diagonal() > before.diagonal()).all()


def test_inputs_that_are_no_numbers_are_refused() -> None:
    matrix = torch.eye(4)
    matrix[2, 2] = torch.nan
    with pytest.raises(CalibrationError, match="not finite"):
        inverse_factor(matrix)
