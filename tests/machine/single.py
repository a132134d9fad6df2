"""Programs of one instruction, for testing machines and the verifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vlmforge.dims import Dim, multiple
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.instructions import INSTRUCTIONS


def single(
    op: str,
    inputs: Mapping[str, tuple[tuple[Dim, ...], str]],
    output: tuple[tuple[Dim, ...], str],
    tensors: Mapping[str, np.ndarray] | None = None,
    **attrs: Any,
) -> Program:
    """A program of the instruction ``"y"``; shapes and dtypes of its inputs by name."""
    tensors = tensors or {}
    buffers = {name: Buffer(name, *kind) for name, kind in inputs.items()}
    step = Instruction("y", op, tuple(inputs), {role: role for role in tensors}, attrs)
    return Program(
        component="test",
        inputs=tuple(inputs),
        outputs=("y",),
        buffers={**buffers, "y": Buffer("y", *output)},
        instructions=(step,),
        tensors=dict(tensors),
    )


def single_of(
    op: str,
    arrays: Mapping[str, np.ndarray],
    output: tuple[tuple[Dim, ...], str],
    tensors: Mapping[str, np.ndarray] | None = None,
    **attrs: Any,
) -> Program:
    """:func:`single` for the shapes and dtypes of ``arrays``."""
    kinds = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    return single(op, kinds, output, tensors, **attrs)


def in_groups(program: Program) -> Program | None:
    """A :func:`single` of fixed sizes for any number of rows, in the largest groups up to 12.

    None where the instruction has no such rows, or has to be told of them (reshape).
    """
    (step,), buffers = program.instructions, dict(program.buffers)
    spec, known = INSTRUCTIONS[step.op], dict[Dim, Dim]()
    for name, operand in zip(
        step.inputs, spec.operands([buffers[name].shape for name in step.inputs]), strict=True
    ):
        for axis in _rows(spec.inputs[operand].shape):
            size = buffers[name].shape[axis]
            assert isinstance(size, int)
            known[size] = multiple(math.gcd(size, 12), f"of_{size}")
            buffers[name] = _with_dim(buffers[name], axis, known[size])
    if not known:
        return None
    (axis,) = _rows(spec.output.shape)
    buffers["y"] = _with_dim(buffers["y"], axis, known[buffers["y"].shape[axis]])
    return replace(program, buffers=buffers)


def _rows(pattern: str) -> list[int]:
    """The dimension of an operand that may be any number of rows, if there is one."""
    return [i for i, token in enumerate(pattern.split()) if token in ("M", "n", "*S")][:1]


def _with_dim(buffer: Buffer, axis: int, dim: Dim) -> Buffer:
    return replace(buffer, shape=(*buffer.shape[:axis], dim, *buffer.shape[axis + 1 :]))
