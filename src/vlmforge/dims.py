"""Dimensions of graphs and programs: sizes, names of dynamic dimensions, and multiples of them.

A dimension is an int, a name such as ``"seq"`` whose size each run brings, or a multiple such as
``"4*groups"``: a factor of at least 2 in decimal digits, ``*`` and a name. There is one spelling
of each, so dimensions are equal where their values are; nothing else reads or writes the spelling.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

Dim = int | str
"""A fixed size, the name of a dynamic dimension, or a multiple of one."""

Shape = tuple[Dim, ...]

MAX_SIZE: Final = (1 << 31) - 1
"""Largest fixed size."""

MAX_FACTOR: Final = 1 << 16
"""Largest factor of a multiple."""

_DYNAMIC: Final = re.compile(r"(?:([2-9]|[1-9][0-9]{1,4})\*)?(.+)")


class Parts(NamedTuple):
    """A dimension as ``factor`` times the size that ``name`` has in a run; 1 without a name."""

    factor: int
    name: str | None


class Mismatch(ValueError):
    """Sizes that a shape does not allow."""


def parts(dim: Dim) -> Parts:
    """The dimension taken apart; raises :class:`ValueError` if it is malformed."""
    return Parts(dim, None) if isinstance(dim, int) else Parts(*_factor_and_name(dim))


@lru_cache(maxsize=256)  # every run of a program asks for those of its inputs and outputs
def _factor_and_name(dim: str) -> tuple[int, str]:
    found = _DYNAMIC.fullmatch(dim)
    factor = int(found[1] or 1) if found else 0
    if found is None or factor > MAX_FACTOR or not found[2].isidentifier():
        raise ValueError(f"{dim!r} is no dimension")
    return factor, found[2]


def multiple(factor: int, name: str) -> Dim:
    """``factor`` times the dynamic dimension ``name``; raises :class:`ValueError` for no factor."""
    dim = name if factor == 1 else f"{factor}*{name}"
    if parts(dim) != (factor, name):
        raise ValueError(f"{dim!r} is no dimension")
    return dim


def is_size(value: object) -> bool:
    """Whether ``value`` is a positive integer that fits 31 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIZE


def is_dim(value: object) -> bool:
    """Whether ``value`` is a dimension."""
    if not isinstance(value, str):
        return is_size(value)
    try:
        parts(value)
    except ValueError:
        return False
    return True


def names(shape: Iterable[Dim]) -> list[str]:
    """The names of the dynamic dimensions, one for each of them."""
    return [part.name for part in map(parts, shape) if part.name is not None]


def elements(shape: Iterable[Dim]) -> tuple[int, list[str]]:
    """The product of a shape: of its sizes and factors, and the names in order of the alphabet."""
    known = [parts(dim) for dim in shape]
    product = math.prod(factor for factor, _ in known)
    return product, sorted(name for _, name in known if name is not None)


def quotient(dim: Dim, divisor: Dim) -> int | None:
    """How many times ``dim`` is ``divisor``, whatever the names stand for; None if not whole."""
    (factor, name), (other, other_name) = parts(dim), parts(divisor)
    return factor // other if name == other_name and factor % other == 0 else None


def resolve(shape: Iterable[Dim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with the ``sizes`` of its names filled in."""
    return tuple([dim if isinstance(dim, int) else _size(dim, sizes) for dim in shape])


def _size(dim: str, sizes: Mapping[str, int]) -> int:
    factor, name = _factor_and_name(dim)
    return factor * sizes[name]


def bind(shape: Shape, found: Sequence[int], known: Mapping[str, int]) -> dict[str, int]:
    """The sizes of names, those known and those that follow from an array.

    Args:
        shape: that the array should have.
        found: the shape it has.
        known: sizes by name, of arrays before.

    Raises:
        Mismatch: the array has another shape, and why.
    """
    if len(found) != len(shape):
        raise Mismatch(f"{len(found)} dimensions where there should be {len(shape)}")
    sizes = dict(known)
    for size, dim in zip(found, shape, strict=True):
        wanted = dim
        if isinstance(dim, str):
            factor, name = _factor_and_name(dim)
            if size % factor:
                raise Mismatch(f"{size} is not a multiple of {factor}")
            wanted = factor * sizes.setdefault(name, size // factor)
        if size != wanted:
            raise Mismatch(f"{size} where there should be {wanted}")
    return sizes
