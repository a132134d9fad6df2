"""What one operation of the instruction set asks of its operands: dtypes, shapes, values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlmforge.dims import Dim, Shape


class RuleError(ValueError):
    """A rule of the instruction set that an instruction breaks."""


def require(holds: bool, rule: str) -> None:
    """Raise :class:`RuleError` stating ``rule`` unless it holds."""
    if not holds:
        raise RuleError(rule)


@dataclass(frozen=True)
class Attribute:
    """An attribute: what it must be in words, and the test of it."""

    meaning: str
    accepts: Callable[[Any], bool]
    optional: bool = False


@dataclass(frozen=True)
class Values:
    """A condition on the elements of a tensor: in words, and the test of it."""

    meaning: str
    accepts: Callable[[np.ndarray], bool]


@dataclass(frozen=True)
class Operand:
    """An input, tensor or output.

    Attributes:
        shape: a pattern of sizes such as ``"M 2 D"``. A letter stands for the same size
            everywhere in the instruction, a number for itself, ``*S`` for any further sizes.
        dtypes: those allowed.
        optional: whether it may be missing; optional inputs come last, and their number of
            dimensions tells which of them are there.
        values: for a tensor, a condition on its elements.
    """

    shape: str
    dtypes: tuple[str, ...]
    optional: bool = False
    values: Values | None = None


class Sizes:
    """The sizes that the letters of an instruction's patterns stand for."""

    def __init__(self) -> None:
        self._dims: dict[str, Dim] = {}
        self._rests: dict[str, Shape] = {}

    def __getitem__(self, letter: str) -> Dim:
        return self._dims[letter]

    def fixed(self, letter: str) -> int:
        """The size of a dimension that may not be dynamic."""
        dim = self._dims[letter]
        if isinstance(dim, str):
            raise RuleError(f"dimension {letter} has a fixed size, not {dim!r}")
        return dim

    def rest(self, name: str) -> Shape:
        """The sizes that ``*name`` stands for."""
        return self._rests[name]

    def bind(self, letter: str, dim: Dim) -> None:
        """State a size; raises :class:`RuleError` if it contradicts an earlier one."""
        known = self._dims.setdefault(letter, dim)
        require(known == dim, f"dimension {letter} is both {known} and {dim}")

    def bind_rest(self, name: str, shape: Shape) -> None:
        """State the sizes of ``*name``; raises :class:`RuleError` on a contradiction."""
        known = self._rests.setdefault(name, shape)
        require(known == shape, f"the shape is {list(shape)}, not {list(known)}")

    def match(self, pattern: str, shape: Shape) -> None:
        """Bind the letters of ``pattern`` to ``shape``; raises :class:`RuleError` if it misfits."""
        tokens = pattern.split()
        rest = [token[1:] for token in tokens if token.startswith("*")]
        heads = [token for token in tokens if not token.startswith("*")]
        fits = len(shape) >= len(heads) if rest else len(shape) == len(heads)
        require(fits, f"the shape {list(shape)} has the form [{', '.join(tokens)}]")
        for token, dim in zip(heads, shape, strict=False):
            if token.isdigit():
                require(dim == int(token), f"a dimension of {list(shape)} is {token}")
            else:
                self.bind(token, dim)
        for name in rest:
            self.bind_rest(name, shape[len(heads) :])


@dataclass(frozen=True)
class Case:
    """One instruction under examination.

    Attributes:
        sizes: bound so far: those of the inputs.
        dtypes: of the operands present, by name; the output is ``"output"``.
        attrs: the attributes, their types already checked.
    """

    sizes: Sizes
    dtypes: Mapping[str, str]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class InstructionSpec:
    """The contract of one operation.

    Attributes:
        inputs: name to operand, in order.
        output: the buffer written.
        tensors: role to operand.
        attrs: name to attribute.
        rule: binds the sizes that follow from inputs and attributes, and raises
            :class:`RuleError` where they do not go together.
    """

    inputs: dict[str, Operand]
    output: Operand
    tensors: dict[str, Operand] = field(default_factory=dict)
    attrs: dict[str, Attribute] = field(default_factory=dict)
    rule: Callable[[Case], None] = lambda case: None

    def operands(self, shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The names of the inputs of these shapes; raises :class:`RuleError` if there are none."""
        needed = [name for name, operand in self.inputs.items() if not operand.optional]
        require(len(shapes) >= len(needed), f"it has the inputs {list(self.inputs)}")
        left = {name: len(each.shape.split()) for name, each in self.inputs.items()}
        found: list[str] = []
        for shape in shapes[len(needed) :]:
            fitting = [n for n in left if n not in (*needed, *found) and left[n] == len(shape)]
            require(len(fitting) > 0, f"no input of {list(self.inputs)} is {list(shape)}")
            found.append(fitting[0])
        return (*needed, *found)


def is_float32(value: object) -> bool:
    """Whether ``value`` is a finite float that float32 represents exactly."""
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return abs(value) <= float(np.finfo(np.float32).max) and float(np.float32(value)) == value
