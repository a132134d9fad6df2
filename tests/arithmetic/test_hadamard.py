"""The Hadamard transform: Sylvester's matrix, with the same bits on any machine."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.arithmetic import hadamard
from vlmforge.arithmetic.hadamard import hadamard_transform


def sylvester(size: int) -> Tensor:
    """The matrix of +1 and −1, float64."""
    signs = [[(-1.0) ** (i & j).bit_count() for j in range(size)] for i in range(size)]
    return torch.tensor(signs, dtype=torch.float64)


@pytest.mark.parametrize("block", [2, 8, 16, 64, 256, 1024])
def test_no_machine_changes_a_bit(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    x = normal(5, 7, 2 * block)
    found = require_equal(monkeypatch, lambda: hadamard_transform(x, block))
    wanted = x.double().unflatten(-1, (2, block)) @ sylvester(block) / math.sqrt(block)
    torch.testing.assert_close(found.double(), wanted.flatten(-2), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(hadamard, "real_kernels", lambda *tensors: None)
    assert torch.equal(hadamard_transform(x, block), found)


def test_gradients_pass() -> None:
    x = normal(3, 32).requires_grad_()
    (hadamard_transform(x, 16) * normal(3, 32, seed=1)).sum().backward()
    wanted = hadamard_transform(normal(3, 32, seed=1), 16)
    torch.testing.assert_close(x.grad, wanted)
