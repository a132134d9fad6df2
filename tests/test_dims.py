"""Dimensions: one spelling each, and what they stand for when sizes are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.dims import (
    MAX_FACTOR,
    MAX_SIZE,
    Dim,
    Mismatch,
    bind,
    elements,
    is_dim,
    is_size,
    multiple,
    names,
    parts,
    quotient,
    resolve,
)

NAMES = st.sampled_from(["seq", "groups", "_", "x1", "größe"])
FACTORS = st.integers(1, MAX_FACTOR)
MULTIPLES = st.builds(multiple, FACTORS, NAMES)
DIMS: st.SearchStrategy[Dim] = st.integers(1, 9) | MULTIPLES
SIZES = st.fixed_dictionaries(
    {name: st.integers(0, 50) for name in ("seq", "groups", "_", "x1", "größe")}
)

MALFORMED = [
    "", "*", "*x", "x*", "2*", "0*x", "1*x", "01*x", "04*x", "-2*x", "+2*x", " 2*x", "2 *x", "2* x",
    "2*x ", "2*x\n", "2*3*x", "2*3", "x*2", "2.0*x", "2e1*x", "0x2*x", "1_0*x", "٤*x", "²*x",
    "2*x*y", "4", "4x", "x y", "x-1", "65537*x", "99999*x", "100000*x", "9" * 5000 + "*x",
]  # fmt: skip


@pytest.mark.parametrize("dim", MALFORMED, ids=lambda dim: repr(dim[:12]))
def test_malformed(dim: str) -> None:
    assert not is_dim(dim)
    with pytest.raises(ValueError, match="is no dimension"):
        parts(dim)


@pytest.mark.parametrize("value", [0, -1, MAX_SIZE + 1, True, 2.0, None, b"x", ["x"], ("2*x",)])
def test_what_is_no_size(value: object) -> None:
    assert not is_dim(value) and not is_size(value)


@pytest.mark.parametrize("dim", [1, MAX_SIZE, "x", "2*x", "10*x", "65536*x"])
def test_dimensions(dim: Dim) -> None:
    assert is_dim(dim)


@given(st.text(max_size=8) | st.from_regex(r"[0-9]{0,6}\*?[a-z]{0,2}", fullmatch=True))
def test_what_is_read_is_written_again(text: str) -> None:
    if is_dim(text):
        factor, name = parts(text)
        assert name is not None and 1 <= factor <= MAX_FACTOR
        assert multiple(factor, name) == text


@given(FACTORS, NAMES)
def test_what_is_written_is_read_again(factor: int, name: str) -> None:
    assert parts(multiple(factor, name)) == (factor, name)


@pytest.mark.parametrize(
    ("factor", "name"),
    [(0, "x"), (-2, "x"), (MAX_FACTOR + 1, "x"), (1, "4*x"), (2, "4*x"), (2, "")],
)
def test_what_is_not_written(factor: int, name: str) -> None:
    with pytest.raises(ValueError, match="is no dimension"):
        multiple(factor, name)


@given(st.lists(DIMS, max_size=5), SIZES)
def test_resolved_shapes_have_the_elements(shape: list[Dim], sizes: dict[str, int]) -> None:
    product, unknown = elements(shape)
    assert unknown == sorted(names(shape))
    whole = product * math.prod(sizes[name] for name in unknown)
    assert math.prod(resolve(shape, sizes)) == whole


@given(st.lists(DIMS, max_size=5), SIZES)
def test_a_resolved_shape_binds(shape: list[Dim], sizes: dict[str, int]) -> None:
    found = resolve(shape, sizes)
    bound = bind(tuple(shape), found, {})
    assert bound == {name: sizes[name] for name in names(shape)}
    assert bind(tuple(shape), found, sizes) == sizes
    assert resolve(shape, bound) == found


@given(st.lists(DIMS, min_size=1, max_size=5), SIZES, st.data())
def test_other_sizes_do_not_bind(
    shape: list[Dim], sizes: dict[str, int], data: st.DataObject
) -> None:
    found = list(resolve(shape, sizes))
    axis = data.draw(st.integers(0, len(shape) - 1))
    found[axis] += data.draw(st.integers(1, 3))
    with pytest.raises(Mismatch):
        bind(tuple(shape), found, sizes)


def test_why_a_shape_does_not_bind() -> None:
    shape: tuple[Dim, ...] = ("4*groups", 3)
    for found, why in (
        ((8,), "1 dimensions where there should be 2"),
        ((8, 4), "4 where there should be 3"),
        ((6, 3), "6 is not a multiple of 4"),
        ((12, 3), "12 where there should be 8"),
    ):
        with pytest.raises(Mismatch, match=f"^{why}$"):
            bind(shape, found, {"groups": 2})


@given(DIMS, DIMS, SIZES)
def test_a_quotient_is_one_for_all_sizes(dim: Dim, divisor: Dim, sizes: dict[str, int]) -> None:
    times = quotient(dim, divisor)
    size, other = resolve((dim, divisor), {name: size + 1 for name, size in sizes.items()})
    if times is not None:
        assert size == times * other
    elif parts(dim).name == parts(divisor).name:
        assert size % other != 0


def test_dimensions_of_two_names_have_no_quotient() -> None:
    assert quotient("4*x", "2*y") is None
    assert quotient("4*x", 4) is None
    assert quotient(4, "4*x") is None
    assert quotient("4*x", "2*x") == 2
