"""Programs: what the verifier accepts runs on every instruction set, with the same bits."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from soak.damage import damaged_bytes, damaged_json
from soak.kind import Case
from soak.mutator import SIZES, Mutator, inputs_of
from vlmforge.dims import elements
from vlmforge.errors import RunError
from vlmforge.program.core import Buffer, Program

LARGE_SIZES = (255, 4096, 65536, 2**24, 2**30, 2**31 - 1, 2**31)
FILE = "program.mxq"

RUN_BYTES = 1 << 26
"""Programs with larger buffers are read and not run, as they would take long or much."""


class Programs:
    """A program is read with hashes that fit it, and run if it is accepted."""

    name, share = "programs", 4.0

    def __init__(self) -> None:
        self.whole: list[Program] = []
        self.scratch = Path()

    def prepare(self, directory: Path) -> None:
        from tests.machine.decoder import decoder
        from tests.machine.encoder import encoder
        from tests.packages import text_program

        self.whole = [decoder(), encoder(), text_program()]
        self.scratch = directory

    def make(self, rng: random.Random) -> Case:
        program = rng.choice(self.whole)
        change = rng.random()
        if change < 0.6:
            large = rng.random() < 0.3
            sizes = (*SIZES, *LARGE_SIZES) if large else SIZES
            mutate = Mutator(rng.getrandbits(32), sizes)
            for _ in range(rng.choice((1, 1, 2, 3))):
                program = mutate(program)
            return {FILE: self._written(program.tensors, _document(program))}
        if change < 0.85:
            document = damaged_json(rng, _document(program))
            return {FILE: self._written(program.tensors, document)}
        if change < 0.95:
            name = rng.choice(sorted(program.tensors))
            array = program.tensors[name]
            content = damaged_bytes(rng, array.tobytes()).ljust(array.nbytes, b"\0")[: array.nbytes]
            tensors = {**program.tensors, name: np.frombuffer(content, array.dtype)}
            tensors[name] = tensors[name].reshape(array.shape)
            return {FILE: self._written(tensors, _document(program))}
        return {FILE: damaged_bytes(rng, self._written(program.tensors, _document(program)))}

    def _written(self, tensors: Any, document: Any) -> bytes:
        """A container with all hashes right; without its document, where that is no object."""
        from vlmforge.formats.container import ContainerWriter

        path = self.scratch / f"{id(self)}-{random.getrandbits(64)}"
        try:
            with ContainerWriter(path, "mxq") as writer:
                for name, array in tensors.items():
                    writer.add(name, array)
                writer.finish(document if _is_finite(document) else {})
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    def attempt(self, case: Case, directory: Path) -> None:
        from vlmforge.formats.mxq import read_mxq

        (directory / FILE).write_bytes(case[FILE])
        program = read_mxq(directory / FILE)
        if sum(map(_bytes, program.buffers.values())) > RUN_BYTES:
            return
        feeds = inputs_of(program, np.random.default_rng(zlib.crc32(case[FILE])))
        _require_equal(program, feeds)


def _require_equal(program: Program, feeds: dict[str, np.ndarray]) -> None:
    from vlmforge.machine.native.machine import NativeMachine, instruction_sets

    outcomes = [_outcome(NativeMachine(program, 2, isa), feeds) for isa in instruction_sets()]
    for isa, outcome in zip(instruction_sets(), outcomes, strict=True):
        assert outcome == outcomes[-1], f"{isa} gives other bits than {instruction_sets()[-1]}"


def _outcome(machine: Any, feeds: dict[str, np.ndarray]) -> Any:
    """The bytes of two runs on one cache, or what was refused."""
    try:
        cache = machine.new_cache(min(40, machine.program.meta.get("cache_length", 40)))
        runs = [machine.run(feeds, cache) for _ in range(2)]
    except RunError as error:
        return str(error)
    return [{name: array.tobytes() for name, array in run.items()} for run in runs]


def _bytes(buffer: Buffer) -> int:
    product, unknown = elements(buffer.shape)
    return product * 8 ** len(unknown) * np.dtype(buffer.dtype).itemsize


def _document(program: Program) -> dict[str, Any]:
    return {
        "component": program.component,
        "inputs": program.inputs,
        "outputs": program.outputs,
        "buffers": [dict(vars(buffer)) for buffer in program.buffers.values()],
        "instructions": [dict(vars(each)) for each in program.instructions],
        "meta": program.meta,
    }


def _is_finite(document: Any) -> bool:
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        return False
    return isinstance(document, dict)
