"""A program as text, one line an instruction, for people and for tests."""

from __future__ import annotations

from collections.abc import Sequence

from vlmforge.dims import Dim
from vlmforge.program.core import Buffer, Instruction, Program


def to_text(program: Program) -> str:
    """The program's inputs, instructions and outputs as lines; tensor values are not shown."""
    lines = [f"{program.component}:"]
    lines += [f"  input {_buffer(program.buffers[name])}" for name in program.inputs]
    lines += [f"  {_line(program, instruction)}" for instruction in program.instructions]
    lines += [f"  output {name}" for name in program.outputs]
    return "\n".join(lines) + "\n"


def _line(program: Program, instruction: Instruction) -> str:
    tensors = [
        f"{role}={array.dtype.name}{_shape(array.shape)}"
        for role, array in ((r, program.tensors[n]) for r, n in instruction.tensors.items())
    ]
    attrs = [f"{name}={_attribute(value)}" for name, value in instruction.attrs.items()]
    arguments = ", ".join([*instruction.inputs, *tensors, *attrs])
    return f"{_buffer(program.buffers[instruction.name])} = {instruction.op}({arguments})"


def _buffer(buffer: Buffer) -> str:
    scale = "" if buffer.scale is None else f" * {buffer.scale:.6g}"
    return f"{buffer.name}: {buffer.dtype}{_shape(buffer.shape)}{scale}"


def _attribute(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shape(shape: Sequence[Dim]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
