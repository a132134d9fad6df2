"""Best keeps what had the least loss, whatever came after."""

from __future__ import annotations

import math

import torch

from vlmforge.learning.best import Best


def test_the_least_is_restored() -> None:
    tensor = torch.zeros(2)
    best = Best([tensor], lambda: (tensor - 3).square().sum().item())
    for value in (1.0, 3.0, 7.0):
        tensor.fill_(value)
        best.look()
    best.restore()
    assert (best.first, best.least) == (8.0, 0.0)
    assert torch.equal(tensor, torch.full((2,), 3.0))


def test_without_a_look_nothing_changes() -> None:
    tensor = torch.zeros(2)
    best = Best([tensor], lambda: math.nan)
    tensor.fill_(1.0)
    best.restore()
    assert torch.equal(tensor, torch.zeros(2))
    best.look()
    assert best.least == math.inf
