"""Changes of programs, and inputs for what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from vlmforge.dims import Dim, multiple, names, resolve
from vlmforge.program.core import Buffer, Instruction, Program

SIZES = (1, 2, 3, 6, 12, 22, 24, 37, 41)
FACTORS = (1, 1, 2, 3, 4)
DTYPES = ("int8", "int16", "int64", "float32")


class Mutator:
    """Draws changes of a program that leave it well-formed, if rarely meaningful."""

    def __init__(self, seed: int, sizes: tuple[int, ...] = SIZES) -> None:
        self.rng = np.random.default_rng(seed)
        self.sizes = sizes

    def pick(self, options: Any) -> Any:
        options = list(options)
        return options[int(self.rng.integers(len(options)))]

    def __call__(self, program: Program) -> Program:
        change: Callable[[Program], Program] = self.pick(
            [self.rewire, self.reshape, self.retype, self.set_attribute, self.swap_tensor,
             self.drop, self.set_output, self.reorder]
        )  # fmt: skip
        return change(program)

    def _with(self, program: Program, old: Instruction, new: Instruction) -> Program:
        steps = tuple(new if each is old else each for each in program.instructions)
        return replace(program, instructions=steps)

    def rewire(self, program: Program) -> Program:
        each = self.pick([i for i in program.instructions if i.inputs])
        inputs = [*each.inputs]
        inputs[int(self.rng.integers(len(inputs)))] = self.pick(program.buffers)
        return self._with(program, each, replace(each, inputs=tuple(inputs)))

    def reshape(self, program: Program) -> Program:
        name = self.pick(program.buffers)
        shape = [*program.buffers[name].shape]
        shape[int(self.rng.integers(len(shape)))] = self.dim(program)
        return self._with_buffer(program, replace(program.buffers[name], shape=tuple(shape)))

    def dim(self, program: Program) -> Dim:
        known = sorted({name for each in program.buffers.values() for name in names(each.shape)})
        dynamic = [multiple(factor, name) for name in known for factor in FACTORS]
        return self.pick([self.pick(self.sizes), self.pick(dynamic or self.sizes)])

    def retype(self, program: Program) -> Program:
        name = self.pick(program.buffers)
        return self._with_buffer(program, replace(program.buffers[name], dtype=self.pick(DTYPES)))

    def _with_buffer(self, program: Program, buffer: Buffer) -> Program:
        return replace(program, buffers={**program.buffers, buffer.name: buffer})

    def set_attribute(self, program: Program) -> Program:
        each = self.pick([i for i in program.instructions if i.attrs])
        name = self.pick(each.attrs)
        value = each.attrs[name]
        if isinstance(value, bool):
            changed: Any = not value
        elif isinstance(value, float):
            changed = float(np.float32(value * self.pick([-1, 0, 0.5, 3, 1e30])))
        elif isinstance(value, int):
            changed = self.pick(self.sizes)
        elif isinstance(value, list):
            changed = [
                self.dim(program) if isinstance(v, str) else self.pick([1, 2, 3, v]) for v in value
            ]
        else:
            changed = self.pick([None, "l0", "l1", "another"])
        return self._with(program, each, replace(each, attrs={**each.attrs, name: changed}))

    def swap_tensor(self, program: Program) -> Program:
        each = self.pick([i for i in program.instructions if i.tensors])
        role = self.pick(each.tensors)
        tensors = {**each.tensors, role: self.pick(program.tensors)}
        return self._with(program, each, replace(each, tensors=tensors))

    def drop(self, program: Program) -> Program:
        gone = self.pick(program.instructions)
        kept = tuple(each for each in program.instructions if each is not gone)
        buffers = {n: b for n, b in program.buffers.items() if n != gone.name}
        used = {name for each in kept for name in each.tensors.values()}
        tensors = {n: t for n, t in program.tensors.items() if n in used}
        renamed = tuple(
            replace(
                each, inputs=tuple(self.pick(buffers) if n == gone.name else n for n in each.inputs)
            )
            for each in kept
        )
        outputs = tuple(self.pick(buffers) if n == gone.name else n for n in program.outputs)
        return replace(
            program, instructions=renamed, buffers=buffers, tensors=tensors, outputs=outputs
        )

    def set_output(self, program: Program) -> Program:
        return replace(program, outputs=(*program.outputs, self.pick(program.buffers)))

    def reorder(self, program: Program) -> Program:
        steps = [*program.instructions]
        at = int(self.rng.integers(len(steps) - 1))
        steps[at : at + 2] = reversed(steps[at : at + 2])
        return replace(program, instructions=tuple(steps))


def inputs_of(program: Program, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arrays of the shapes and dtypes the program asks for; indexes are mostly in range."""
    rows = int(rng.integers(1, 9))
    inputs = [program.buffers[name] for name in program.inputs]
    sizes = {name: rows for buffer in inputs for name in names(buffer.shape)}
    sizes |= {"logits": int(rng.integers(0, 4))}
    feeds = {}
    for buffer in inputs:
        shape = resolve(buffer.shape, sizes)
        if buffer.dtype == "float32":
            feeds[buffer.name] = rng.standard_normal(shape).astype(np.float32)
        else:
            feeds[buffer.name] = rng.integers(0, rows, shape).astype(buffer.dtype)
    return feeds
