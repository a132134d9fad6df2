"""Programs of one instruction, for testing machines and the verifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlmforge.program.core import Buffer, Dim, Instruction, Program


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
