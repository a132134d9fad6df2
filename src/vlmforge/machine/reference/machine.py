"""ReferenceMachine: the instruction set in NumPy, exact, against which others are tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from vlmforge.errors import RunError
from vlmforge.machine.cache import Cache, KVCache
from vlmforge.machine.memory import memory_told
from vlmforge.machine.reference import lookup as lookup
from vlmforge.machine.reference import products as products
from vlmforge.machine.reference import vector as vector
from vlmforge.machine.reference.attention import attention
from vlmforge.machine.reference.step import Frame, Kernel, Step
from vlmforge.machine.request import Request, RequestRules, one_by_one
from vlmforge.program.core import Program

KERNELS: Final[dict[str, Kernel]] = {
    "quantize": vector.quantize,
    "requantize": vector.requantize,
    "reshape": lookup.reshape,
    "constant": lookup.constant,
    "gather_rows": lookup.gather_rows,
    "linear": products.linear,
    "conv2d": products.conv2d,
    "rms_norm": vector.rms_norm,
    "layer_norm": vector.layer_norm,
    "add": vector.add,
    "mul": vector.mul,
    "hadamard": vector.hadamard,
    "silu": vector.silu,
    "gelu": vector.gelu,
    "quick_gelu": vector.quick_gelu,
    "gelu_tanh": vector.gelu_tanh,
    "rope_lookup": lookup.rope_lookup,
    "rope": vector.rope,
    "attention": attention,
}


class ReferenceMachine:
    """Runs a verified program; see :class:`vlmforge.machine.machine.Machine`.

    Product weights are unpacked to float32 at their first use and kept.

    Args:
        program: to be run.
        threads: without effect; NumPy decides.
    """

    def __init__(self, program: Program, threads: int | None = None) -> None:
        self.program = program
        self._rules = RequestRules(program)
        self._steps = [Step(program, instruction) for instruction in program.instructions]
        self._finished = program.finished_after()

    def new_cache(self, capacity: int) -> KVCache:
        """See :meth:`vlmforge.machine.machine.Machine.new_cache`."""
        self._rules.check_capacity(capacity)
        with memory_told(f"a cache of {capacity} positions"):
            return KVCache(self._rules.widths, capacity)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        cache: Cache | None = None,
        trace: Callable[[str, np.ndarray], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """See :meth:`vlmforge.machine.machine.Machine.run`."""
        self.program.guard()
        with memory_told(f"the {self.program.component} program"):
            return self._run(inputs, cache, trace)

    def _run(
        self,
        inputs: Mapping[str, np.ndarray],
        cache: Cache | None,
        trace: Callable[[str, np.ndarray], None] | None,
    ) -> dict[str, np.ndarray]:
        own = _own(cache)
        frame = Frame(self._rules.check(inputs, own), own)
        buffers = dict(inputs)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for instruction, step in zip(self.program.instructions, self._steps, strict=True):
                operands = [buffers[name] for name in instruction.inputs]
                buffers[step.name] = KERNELS[instruction.op](step, frame, *operands)
                if trace is not None:
                    trace(step.name, buffers[step.name])
                for name in self._finished.get(step.name, ()):
                    del buffers[name]
        if own is not None:
            own.length += self._rules.appended(frame.sizes)
        return {name: buffers[name] for name in self.program.outputs}

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        """See :meth:`vlmforge.machine.machine.Machine.run_batch`; the requests run one by one."""
        return one_by_one(self.run, requests)


def _own(cache: Cache | None) -> KVCache | None:
    if cache is None or isinstance(cache, KVCache):
        return cache
    mend = "use a cache that new_cache() of the same machine made"
    raise RunError("the cache belongs to another machine", mend=mend)
