"""Work: what one run of a program has to read and to multiply, whatever machine runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from vlmforge.dims import bind, resolve
from vlmforge.program.core import Instruction, Program
from vlmforge.program.instructions import PRODUCTS

ROLES = ("weight", "group_scale")


@dataclass(frozen=True)
class Work:
    """The work of product instructions.

    Attributes:
        weight_bytes: of weights and group scales, each read once.
        operations: int8 multiplications and additions. A product of int16 inputs counts twice,
            as machines take it as two products of int8 halves.
    """

    weight_bytes: int
    operations: int


def sizes_of(program: Program, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The sizes of a program's dynamic dimensions in a run with these inputs."""
    sizes: dict[str, int] = {}
    for name in program.inputs:
        sizes = bind(program.buffers[name].shape, feeds[name].shape, sizes)
    return sizes


def work_of(
    program: Program, sizes: Mapping[str, int], instructions: Iterable[Instruction] | None = None
) -> Work:
    """The work of a run.

    Args:
        program: any verified program.
        sizes: of its dynamic dimensions; an instruction without rows reads no weights.
        instructions: only these; all of the program's if None.
    """
    chosen = program.instructions if instructions is None else instructions
    weight_bytes = operations = 0
    for instruction in chosen:
        if instruction.op not in PRODUCTS:
            continue
        outputs = program.buffers[instruction.name].shape
        rows = prod(resolve(outputs[:-1], sizes))
        if rows == 0:
            continue
        halves = 2 if program.buffers[instruction.inputs[0]].dtype == "int16" else 1
        attrs = instruction.attrs
        operations += 2 * halves * rows * attrs["in_features"] * attrs["out_features"]
        held = (instruction.tensors[role] for role in ROLES if role in instruction.tensors)
        weight_bytes += sum(program.tensors[name].nbytes for name in held)
    return Work(weight_bytes, operations)
