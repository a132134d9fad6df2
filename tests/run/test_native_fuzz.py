"""Mutated programs: the verifier refuses one, or the native machine runs it as the reference does.

Under ``make sanitize`` this also shows that no accepted program makes the machine reach beyond its
buffers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.run.decoder import decoder
from vlmforge.errors import FormatError, RunError
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.verify import verify
from vlmforge.run.machine import IMPLEMENTATIONS, Machine
from vlmforge.run.reference import ReferenceMachine

if "native" not in IMPLEMENTATIONS:
    assert not os.environ.get("CI"), "the native machine has to be built"
    pytest.skip("the native machine is not built", allow_module_level=True)

from vlmforge.run.native import NativeMachine

ORIGINAL = decoder()
SIZES = (1, 2, 3, 6, 12, 22, 24, 37, 41, "seq", "logits")
DTYPES = ("int8", "int16", "int64", "float32")


class Mutator:
    """Draws changes of a program that leave it well-formed, if rarely meaningful."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

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
        each = self.pick(program.instructions)
        inputs = [*each.inputs]
        inputs[int(self.rng.integers(len(inputs)))] = self.pick(program.buffers)
        return self._with(program, each, replace(each, inputs=tuple(inputs)))

    def reshape(self, program: Program) -> Program:
        name = self.pick(program.buffers)
        shape = [*program.buffers[name].shape]
        shape[int(self.rng.integers(len(shape)))] = self.pick(SIZES)
        return self._with_buffer(program, replace(program.buffers[name], shape=tuple(shape)))

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
            changed = self.pick([size for size in SIZES if isinstance(size, int)])
        elif isinstance(value, list):
            changed = [
                self.pick(SIZES) if isinstance(v, str) else self.pick([1, 2, 3, v]) for v in value
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
    sizes = {"seq": int(rng.integers(1, 9)), "logits": int(rng.integers(0, 4))}
    feeds = {}
    for name in program.inputs:
        buffer = program.buffers[name]
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in buffer.shape]
        if buffer.dtype == "float32":
            feeds[name] = rng.standard_normal(shape).astype(np.float32)
        else:
            feeds[name] = rng.integers(0, sizes["seq"], shape).astype(buffer.dtype)
    return feeds


def outcome(machine: Machine, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray] | str:
    """The outputs of two runs on one cache, or what was refused."""
    try:
        cache = machine.new_cache(40)
        first = machine.run(feeds, cache)
        return {**{f"{n} before": a for n, a in first.items()}, **machine.run(feeds, cache)}
    except RunError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_refused_or_equal(seed: int, changes: int) -> None:
    mutate, program = Mutator(seed), ORIGINAL
    for _ in range(changes):
        program = mutate(program)
    try:
        verify(program)
    except FormatError:
        return
    feeds = inputs_of(program, mutate.rng)
    wanted = outcome(ReferenceMachine(program), feeds)
    found = outcome(NativeMachine(program, threads=2), feeds)
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
