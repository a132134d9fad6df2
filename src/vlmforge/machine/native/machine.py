"""NativeMachine: the instruction set in C++, with the vector instructions of this processor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import vlmforge._native as _native
from vlmforge.dims import Dim, names, parts, resolve
from vlmforge.errors import RunError
from vlmforge.machine.cache import Cache
from vlmforge.machine.cores import cores
from vlmforge.machine.memory import allocate, memory_told
from vlmforge.machine.native.cache import NativeCache
from vlmforge.machine.request import (
    OutOfRange,
    Request,
    RequestRules,
    Sizes,
    index_error,
    kind_of_index,
    one_by_one,
    require_own_caches,
)
from vlmforge.program.core import Program

Trace = Callable[[str, np.ndarray], None]


class NativeMachine:
    """Runs a verified program; see :class:`vlmforge.machine.machine.Machine`.

    Weights are read where the program's arrays lie, usually in the mapped file. Requests may run
    from several Python threads at once.

    Args:
        program: kept, with its arrays, as long as the machine.
        threads: that share the work of a run; by default ``VLMFORGE_THREADS``, or all processors
            this process may use.
        isa: instruction set, one of :func:`instruction_sets`; by default ``VLMFORGE_ISA``, or the
            fastest.

    Raises:
        RunError: ``threads`` or ``isa``, or its environment variable, is out of range.
    """

    def __init__(
        self, program: Program, threads: int | None = None, isa: str | None = None
    ) -> None:
        self.program = program
        self.threads = threads_of(threads)
        self.isa = _isa(isa)
        self._rules = RequestRules(program)
        self._where = f"the {program.component} program"
        dims = (dim for name in program.inputs for dim in program.buffers[name].shape)
        self._symbols = list(dict.fromkeys(names(dims)))
        self._machine = _build(program, self._symbols, self.isa)

    def new_cache(self, capacity: int) -> NativeCache:
        """See :meth:`vlmforge.machine.machine.Machine.new_cache`."""
        self._rules.check_capacity(capacity)
        with memory_told(f"a cache of {capacity} positions"):
            return NativeCache(self._machine, self._rules.widths, capacity)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> dict[str, np.ndarray]:
        """See :meth:`vlmforge.machine.machine.Machine.run`."""
        return self._run([Request(inputs, cache)], trace)[0]

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        """See :meth:`vlmforge.machine.machine.Machine.run_batch`.

        Requests run as one wherever the program treats each row of a request alone, as text
        programs do, and one by one otherwise.
        """
        if not self._machine.batchable or not requests:
            return one_by_one(self.run, requests)
        require_own_caches(requests)
        return self._run(requests)

    def start_profile(self) -> None:
        """Measure every instruction from now on, which costs some speed."""
        self._machine.start_profile()

    def profile(self) -> dict[str, float]:
        """Seconds spent in each instruction since :meth:`start_profile`, by its name."""
        names = [each.name for each in self.program.instructions]
        return dict(zip(names, self._machine.profile(), strict=True))

    def _run(
        self, requests: Sequence[Request], trace: Trace | None = None
    ) -> list[dict[str, np.ndarray]]:
        self.program.guard()
        with memory_told(self._where):
            sizes = [self._rules.check(*request) for request in requests]
            results = [self._outputs(each) for each in sizes]
            natives = list(map(self._request, requests, sizes, results))
            viewer = None if trace is None else self._viewer(trace, sizes[0])
            failure = self._machine.run(natives, self.threads, viewer)
        if failure is not None:
            step = self.program.instructions[failure[0]]
            kind = kind_of_index(self.program, step)
            raise index_error(kind, step.name, OutOfRange(*failure[1:]))
        for request, each in zip(requests, sizes, strict=True):
            if isinstance(request.cache, NativeCache):
                request.cache.extend(self._rules.appended(each))
        return results

    def _outputs(self, sizes: Sizes) -> dict[str, np.ndarray]:
        """Arrays for the outputs of a request, not yet filled."""
        buffers = [self.program.buffers[name] for name in self.program.outputs]
        return {b.name: allocate(resolve(b.shape, sizes), b.dtype, self._where) for b in buffers}

    def _request(
        self, request: Request, sizes: Sizes, outputs: dict[str, np.ndarray]
    ) -> _native.Request:
        arrays = [np.ascontiguousarray(request.inputs[name]) for name in self.program.inputs]
        dims = [sizes[name] for name in self._symbols]
        if request.cache is None:
            return arrays, dims, None, 0, [*outputs.values()]
        if not isinstance(request.cache, NativeCache):
            mend = "use a cache that new_cache() of the same machine made"
            raise RunError("the cache belongs to another machine", mend=mend)
        return arrays, dims, request.cache.store, request.cache.length, [*outputs.values()]

    def _viewer(self, trace: Trace, sizes: Sizes) -> Callable[[int, bytes], None]:
        """What shows ``trace`` a buffer, given its bytes."""

        def view(step: int, content: bytes) -> None:
            buffer = self.program.buffers[self.program.instructions[step].name]
            array = np.frombuffer(content, buffer.dtype).reshape(resolve(buffer.shape, sizes))
            trace(buffer.name, array)

        return view


def instruction_sets() -> list[str]:
    """Those of this processor, the fastest first; the last is ``"scalar"``."""
    return _native.instruction_sets()


def used_instruction_set() -> str:
    """The one programs run with: as ``VLMFORGE_ISA`` says, or the fastest; raises RunError."""
    return _isa(None)


def threads_of(wanted: int | None) -> int:
    """The number of threads: as wanted, as the environment says, or the processors at hand."""
    if wanted is None:
        return cores()
    if not 1 <= wanted <= 1024:
        raise RunError(
            f"the number of threads is {wanted!r}",
            mend="choose 1 to 1024, by VLMFORGE_THREADS or where the machine is opened",
        )
    return wanted


def _isa(wanted: str | None) -> str:
    names = instruction_sets()
    name = wanted or os.environ.get("VLMFORGE_ISA") or names[0]
    if name not in names:
        raise RunError(
            f"there is no instruction set {name!r} here",
            mend=f"set VLMFORGE_ISA to one of {', '.join(names)}, or not at all",
        )
    return name


def _build(program: Program, symbols: list[str], isa: str) -> _native.Machine:
    def numbered(dim: Dim) -> tuple[int, int]:
        factor, name = parts(dim)
        return factor, -1 if name is None else symbols.index(name)

    builder = _native.ProgramBuilder()
    numbers = {
        name: builder.add_buffer(name, list(map(numbered, buffer.shape)), buffer.dtype)
        for name, buffer in program.buffers.items()
    }
    for each in program.instructions:
        tensors = {role: program.tensors[name] for role, name in each.tensors.items()}
        attributes: dict[str, Any] = {k: v for k, v in each.attrs.items() if k != "shape"}
        inputs = [numbers[name] for name in each.inputs]
        builder.add_instruction(each.op, inputs, numbers[each.name], tensors, attributes)
    inputs, outputs = ([numbers[n] for n in names] for names in (program.inputs, program.outputs))
    try:
        return builder.build(inputs, outputs, isa)
    except ValueError as error:
        mend = "compile the model again: the program was altered, or is of another version"
        raise RunError(f"the program cannot be run: {error}", mend=mend) from error
