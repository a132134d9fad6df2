"""Functions in float64: near the library's, of operations that are rounded once each."""

from __future__ import annotations

import numpy as np
import torch

from vlmforge.arithmetic.functions import cos_sin, exp2, log2, power


def test_logarithms_and_powers() -> None:
    x = np.geomspace(1e-30, 1e30, 20001)
    found = log2(torch.from_numpy(x)).numpy()
    assert np.abs(found - np.log2(x)).max() < 2e-14
    raised = power(torch.from_numpy(x), 0.7).numpy()
    assert np.abs(raised / x**0.7 - 1).max() < 2e-14
    assert power(torch.tensor([2.0]), 0.5).dtype == torch.float32


def test_whole_powers_of_two_are_exact() -> None:
    whole = torch.arange(-60, 61).double()
    assert torch.equal(exp2(whole), torch.from_numpy(np.ldexp(1.0, np.arange(-60, 61))))
    assert torch.equal(log2(exp2(whole)), whole)


def test_cosines_and_sines() -> None:
    angles = np.concatenate([np.linspace(-50, 50, 10001), np.arange(0, 1 << 17, 7.0)])
    cos, sin = cos_sin(torch.from_numpy(angles))
    assert np.abs(cos.numpy() - np.cos(angles)).max() < 1e-12
    assert np.abs(sin.numpy() - np.sin(angles)).max() < 1e-12
    assert cos_sin(torch.zeros(1))[0].item() == 1 and cos_sin(torch.zeros(1))[1].item() == 0


def test_a_part_of_the_elements_gets_the_same_bits() -> None:
    x = torch.rand(1001, generator=torch.Generator().manual_seed(0)).double() + 0.1
    for function in (log2, exp2, lambda t: cos_sin(t)[0], lambda t: cos_sin(t)[1]):
        assert torch.equal(function(x)[500:], function(x[500:]))
        assert torch.equal(function(x)[7:8], function(x[7:8]))
