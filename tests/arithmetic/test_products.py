"""Products: the stated order, whatever the shape, the threads and the instruction set."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import everywhere, normal, require_equal
from vlmforge.arithmetic.products import add_product, linear, product

DEPTH = 256

SHAPES = [(1, 1, 1), (3, 5, 2), (14, 256, 32), (15, 257, 33), (130, 700, 65), (7, 2000, 200)]


def nearest(exact: Fraction) -> np.float32:
    """The float32 nearest to a number, ties to even."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(s * np.inf)) for s in (-1, 1)] + [near]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.int32)) & 1))


def stated(a: Tensor, b: Tensor) -> np.float32:
    """The product of two vectors as docs/numbers.md states it, in exact arithmetic."""
    total: np.float32 | None = None
    pairs = [(Fraction(x), Fraction(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    for start in range(0, len(pairs), DEPTH):
        chain = np.float32(0)
        for x, y in pairs[start : start + DEPTH]:
            chain = nearest(x * y + Fraction(float(chain)))
        total = chain if total is None else np.float32(total + chain)
    assert total is not None
    return total


@pytest.mark.parametrize("k", [1, 255, 256, 257, 600])
def test_the_order_is_the_stated_one(k: int) -> None:
    a, b = normal(2, k), normal(k, 2, seed=1)
    found = product(a, b)
    wanted = [[stated(a[i], b[:, j]) for j in range(2)] for i in range(2)]
    assert found.tolist() == [[float(x) for x in row] for row in wanted]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_machine_changes_a_bit(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], dtype: torch.dtype
) -> None:
    m, k, n = shape
    a, b = normal(m, k, dtype=dtype), normal(k, n, seed=1, dtype=dtype)
    found = require_equal(monkeypatch, lambda: product(a, b))
    near = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found.double(), a.double() @ b.double(), atol=near, rtol=near)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_machine_changes_a_bit_of_rounded_products(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    m, k, n = shape
    a, b = normal(m, k), normal(k, n, seed=1)
    found = require_equal(monkeypatch, lambda: product(a, b, rounded=True))
    assert torch.equal(found, product(a.bfloat16().float(), b.bfloat16().float()))


TINY = 2.0**-126
"""The least of the numbers that are not subnormal."""


def test_subnormal_numbers_are_zero_where_operands_are_rounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [
        (TINY / 2, 8.0, 0.0),
        (TINY, 1.0, TINY),
        (TINY, 0.5, 0.0),
        (-TINY, 0.25, 0.0),
        (3 * TINY, 1.0, 3 * TINY),
        (3.0e38, 2.0, math.inf),
    ]
    a, b = (torch.tensor([[case[i]] for case in cases]) for i in (0, 1))
    found = everywhere(monkeypatch, lambda: product(a, b.T, rounded=True).diag())
    wanted = torch.tensor([case[2] for case in cases])
    assert all(torch.equal(each.view(torch.int32), wanted.view(torch.int32)) for each in found)


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan, 3.4e38])
def test_numbers_that_are_not_finite_stay_so(
    monkeypatch: pytest.MonkeyPatch, special: float
) -> None:
    a, b = torch.full((3, 5), special), torch.ones(5, 4)
    found = everywhere(monkeypatch, lambda: product(a, b, rounded=True))
    wanted = product(a.bfloat16().float(), b)
    assert all(torch.equal(each.nan_to_num(7), wanted.nan_to_num(7)) for each in found)


def test_rounded_operands_lie_anywhere() -> None:
    a, b = normal(40, 301), normal(301, 50, seed=1)
    wanted = product(a, b, rounded=True)
    assert torch.equal(wanted, product(a.T.contiguous().T, b, rounded=True))
    assert torch.equal(wanted, product(a, b.T.contiguous().T, rounded=True))
    assert torch.equal(wanted, linear(a, b.T.contiguous(), rounded=True))


def test_where_operands_lie_changes_no_bit() -> None:
    a, b = normal(40, 300), normal(300, 50, seed=1)
    wanted = product(a, b)
    assert torch.equal(wanted, product(a.T.contiguous().T, b))
    assert torch.equal(wanted, product(a, b.T.contiguous().T))
    assert torch.equal(wanted[5:], product(a[5:], b)) and torch.equal(
        wanted[:, 7:9], product(a, b[:, 7:9])
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_products_are_added_block_by_block(sign: int) -> None:
    a, b, c = normal(4, 500), normal(500, 6, seed=1), normal(4, 9, seed=2)
    wanted = c[:, 2:8].clone()
    for start in (0, DEPTH):
        part = product(a[:, start : start + DEPTH], b[start : start + DEPTH])
        wanted = wanted + part if sign > 0 else wanted - part
    before = c.clone()
    assert torch.equal(add_product(c[:, 2:8], a, b, sign), wanted)
    assert torch.equal(c[:, 2:8], wanted)
    assert torch.equal(c[:, :2], before[:, :2]) and torch.equal(c[:, 8:], before[:, 8:])


def test_nothing_to_sum_is_zero() -> None:
    assert torch.equal(product(torch.empty(2, 0), torch.empty(0, 3)), torch.zeros(2, 3))
    assert product(torch.empty(0, 4), normal(4, 3)).shape == (0, 3)
    c = normal(2, 3)
    assert torch.equal(add_product(c.clone(), torch.empty(2, 0), torch.empty(0, 3), 1), c)


def test_many_matrices_are_multiplied_one_by_one() -> None:
    a, b = normal(3, 4, 5), normal(3, 5, 6, seed=1)
    found = product(a, b)
    assert all(torch.equal(found[i], product(a[i], b[i])) for i in range(3))
    assert torch.equal(product(a[0], b), torch.stack([product(a[0], each) for each in b]))


def test_a_bias_is_added_at_the_end() -> None:
    x, weight, bias = normal(2, 3, 8), normal(5, 8, seed=1), normal(5, seed=2)
    assert torch.equal(
        linear(x, weight, bias), product(x.flatten(0, 1), weight.T).add(bias).unflatten(0, (2, 3))
    )


def test_gradients_are_left_to_torch() -> None:
    a, b = normal(2, 3).requires_grad_(), normal(3, 2)
    product(a, b).sum().backward()
    assert a.grad is not None
