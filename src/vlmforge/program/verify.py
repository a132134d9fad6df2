"""Checks that a program keeps the rules of the instruction set, before anything runs it.

A program that passes cannot make a machine read or write outside a buffer, overflow an
accumulator, or meet an undefined operation. What depends on the request (positions, row
indexes, cache room) is left to the machine to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vlmforge.dims import Shape, is_dim, is_size, names
from vlmforge.errors import FormatError
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.instructions import CODES, DIMS, DTYPES, INSTRUCTIONS
from vlmforge.program.limits import MAX_CACHE_LENGTH, require_size, require_total
from vlmforge.program.spec import (
    Case,
    InstructionSpec,
    Operand,
    RuleError,
    Sizes,
    require,
)

MEND = "the file was altered or written by another version: compile the model again"
TENSOR_DTYPES = tuple(map(np.dtype, (*DTYPES, "int32", "uint8")))


def verify(program: Program) -> None:
    """Raise :class:`FormatError` naming the first buffer or instruction that breaks a rule."""
    for name, buffer in program.buffers.items():
        _at(name, _verify_buffer, name, buffer)
    _at(program.component, _verify_interface, program)
    written = set(program.inputs)
    for instruction in program.instructions:
        _at(_name_of(instruction), _verify_instruction, program, instruction, written)
        written.add(instruction.name)
    _at(program.component, _verify_whole, program, written)


def _at(where: object, check: Callable[..., None], *arguments: Any) -> None:
    """Run a check, turning the rule it finds broken into a :class:`FormatError`."""
    try:
        check(*arguments)
    except RuleError as error:
        what = f"the program breaks the rule that {error}"
        raise FormatError(what, where=where, mend=MEND) from error


def _name_of(instruction: Instruction) -> str:
    return f"instruction {instruction.name!r} ({instruction.op!r})"


def _verify_buffer(name: str, buffer: Buffer) -> None:
    require(buffer.name == name, "a buffer is filed under its own name")
    require(isinstance(buffer.dtype, str) and buffer.dtype in DTYPES, f"its dtype is of {DTYPES}")
    sized = isinstance(buffer.shape, tuple) and all(map(is_dim, buffer.shape))
    require(sized, f"its shape {buffer.shape!r} is of {DIMS}")
    require_size(buffer)
    if buffer.scale is not None:
        real = isinstance(buffer.scale, float) and 0 < buffer.scale < float("inf")
        require(real and buffer.dtype in CODES, "a scale is positive, of an integer buffer")


def _verify_interface(program: Program) -> None:
    for listed, kind in ((program.inputs, "input"), (program.outputs, "output")):
        require(_are_names(listed), f"the {kind}s are a list of names")
        require(len(set(listed)) == len(listed), f"no {kind} is listed twice")
        require(set(listed) <= set(program.buffers), f"every {kind} is a buffer")
    require(len(program.outputs) > 0, "there is an output")
    bound = {dim for name in program.inputs for dim in names(program.buffers[name].shape)}
    for buffer in program.buffers.values():
        free = [dim for dim in names(buffer.shape) if dim not in bound]
        require(not free, f"the dimension {free} of {buffer.name!r} is that of an input")
    require_total(program)
    length = program.meta.get("cache_length", 1)
    fits = is_size(length) and length <= MAX_CACHE_LENGTH
    require(fits, f"cache_length {length!r} is a positive integer up to {MAX_CACHE_LENGTH}")


def _verify_instruction(program: Program, instruction: Instruction, written: set[str]) -> None:
    require(isinstance(instruction.name, str), "an instruction has a name")
    known = isinstance(instruction.op, str) and instruction.op in INSTRUCTIONS
    require(known, f"{instruction.op!r} is an operation of the instruction set")
    require(instruction.name in program.buffers, "the buffer it writes exists")
    require(instruction.name not in written, "a buffer is written once")
    spec = INSTRUCTIONS[instruction.op]
    _verify_inputs(instruction, spec, written)
    _verify_attrs(instruction.attrs, spec)
    tensors = _role_tensors(program, instruction, spec)
    given = [program.buffers[name] for name in instruction.inputs]
    inputs = dict(zip(spec.operands([each.shape for each in given]), given, strict=True))
    _verify_operands(spec, instruction, inputs, tensors, program.buffers[instruction.name])


def _verify_inputs(instruction: Instruction, spec: InstructionSpec, written: set[str]) -> None:
    require(_are_names(instruction.inputs), "the inputs are a list of names")
    needed = sum(not operand.optional for operand in spec.inputs.values())
    fits = needed <= len(instruction.inputs) <= len(spec.inputs)
    require(fits, f"it has the inputs {list(spec.inputs)}, not {list(instruction.inputs)}")
    for name in instruction.inputs:
        require(name in written, f"the buffer {name!r} is written before it is read")


def _verify_attrs(attrs: Mapping[str, Any], spec: InstructionSpec) -> None:
    require(isinstance(attrs, Mapping), "the attributes are a mapping")
    for name in attrs:
        require(name in spec.attrs, f"its attributes are {list(spec.attrs)}, not {name!r}")
    for name, attribute in spec.attrs.items():
        if name in attrs:
            require(
                attribute.accepts(attrs[name]),
                f"the attribute {name} is {attribute.meaning}, not {attrs[name]!r}",
            )
        else:
            require(attribute.optional, f"the attribute {name} is given")


def _role_tensors(
    program: Program, instruction: Instruction, spec: InstructionSpec
) -> dict[str, np.ndarray]:
    """The instruction's tensors by role, in the order of the specification."""
    given = instruction.tensors
    require(isinstance(given, Mapping), "the tensors are a mapping")
    for role, name in given.items():
        require(role in spec.tensors, f"its tensors are {list(spec.tensors)}, not {role!r}")
        exists = isinstance(name, str) and name in program.tensors
        require(exists, f"the tensor {name!r} ({role}) exists")
    for role, operand in spec.tensors.items():
        require(operand.optional or role in given, f"the tensor {role} is given")
    return {role: program.tensors[given[role]] for role in spec.tensors if role in given}


def _verify_operands(
    spec: InstructionSpec,
    instruction: Instruction,
    inputs: dict[str, Buffer],
    tensors: dict[str, np.ndarray],
    output: Buffer,
) -> None:
    sizes = Sizes()
    dtypes = {name: buffer.dtype for name, buffer in inputs.items()}
    dtypes |= {role: _dtype_of(role, array) for role, array in tensors.items()}
    operands = spec.inputs | spec.tensors | {"output": spec.output}
    for name, dtype in (dtypes | {"output": output.dtype}).items():
        allowed = operands[name].dtypes
        require(dtype in allowed, f"{name} is of {list(allowed)}, not {dtype}")
    for name, buffer in inputs.items():
        _match(sizes, name, spec.inputs[name], buffer.shape)
    spec.rule(Case(sizes, dtypes | {"output": output.dtype}, instruction.attrs))
    for role, array in tensors.items():
        _match(sizes, role, spec.tensors[role], array.shape)
        _verify_values(role, spec.tensors[role], array)
    _match(sizes, "output", spec.output, output.shape)


def _dtype_of(role: str, array: np.ndarray) -> str:
    native = isinstance(array, np.ndarray) and array.dtype in TENSOR_DTYPES
    require(native, f"the tensor {role} is an array of {list(map(str, TENSOR_DTYPES))}")
    return array.dtype.name


def _match(sizes: Sizes, name: str, operand: Operand, shape: Shape) -> None:
    try:
        sizes.match(operand.shape, shape)
    except RuleError as error:
        raise RuleError(f"in {name}, {error}") from error


def _verify_values(role: str, operand: Operand, array: np.ndarray) -> None:
    require(array.size > 0, f"the tensor {role} is not empty")
    if operand.values is not None:
        meaning = operand.values.meaning
        require(operand.values.accepts(array), f"the elements of the tensor {role} are {meaning}")


def _verify_whole(program: Program, written: set[str]) -> None:
    unwritten = set(program.buffers) - written
    require(not unwritten, f"every buffer is written, also {sorted(unwritten)}")
    used = {name for each in program.instructions for name in each.tensors.values()}
    unused = set(program.tensors) - used
    require(not unused, f"every tensor is used, also {sorted(unused)}")
    caching = [each for each in program.instructions if each.attrs.get("cache") is not None]
    caches = [each.attrs["cache"] for each in caching]
    require(len(set(caches)) == len(caches), "a cache is used by one instruction")
    rows = {program.buffers[each.inputs[1]].shape[0] for each in caching}
    require(len(rows) <= 1, f"all caches take as many rows, not {sorted(map(str, rows))}")


def _are_names(value: object) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(name, str) for name in value)
