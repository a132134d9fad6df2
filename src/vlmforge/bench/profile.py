"""Profile: where the time of one run of a program goes, by kind of instruction."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from vlmforge.bench.work import Work, work_of
from vlmforge.machine.cache import Cache
from vlmforge.machine.machine import Machine, Trace
from vlmforge.program.core import Instruction, Program
from vlmforge.program.instructions import PRODUCTS

Feeds = Mapping[str, np.ndarray]


@runtime_checkable
class Clocked(Protocol):
    """A machine that measures its instructions itself."""

    def start_profile(self) -> None:
        """Measure every instruction from now on."""

    def profile(self) -> Mapping[str, float]:
        """Seconds spent in each instruction since, by its name."""


@dataclass(frozen=True)
class Share:
    """The instructions of one kind.

    Attributes:
        kind: operation; of products also the dtypes of input and weight.
        instructions: how many.
        seconds: of all together.
        work: what they read and multiply.
    """

    kind: str
    instructions: int
    seconds: float
    work: Work


def profile(
    machine: Machine, feeds: Feeds, sizes: Mapping[str, int], cache: Cache | None = None
) -> list[Share]:
    """Run once and measure every instruction, the slowest kind first.

    A machine slows down while it measures, so the seconds say how a run is divided, not how long
    it takes otherwise.

    Args:
        machine: any.
        feeds: the inputs of the run.
        sizes: of the program's dynamic dimensions in this run.
        cache: positions passed before; the run appends to it.
    """
    seconds = _seconds(machine, feeds, cache)
    kinds: dict[str, list[Instruction]] = defaultdict(list)
    for instruction in machine.program.instructions:
        kinds[kind_of(machine.program, instruction)].append(instruction)
    shares = [
        Share(
            kind,
            len(members),
            sum(seconds[each.name] for each in members),
            work_of(machine.program, sizes, members),
        )
        for kind, members in kinds.items()
    ]
    return sorted(shares, key=lambda share: -share.seconds)


def kind_of(program: Program, instruction: Instruction) -> str:
    """Such as ``"add"`` or ``"linear int8 x int4"``."""
    if instruction.op not in PRODUCTS:
        return instruction.op
    held = program.tensors[instruction.tensors["weight"]].dtype.name
    weight = {"uint8": "int4"}.get(held, held)
    return f"{instruction.op} {program.buffers[instruction.inputs[0]].dtype} x {weight}"


def _seconds(machine: Machine, feeds: Feeds, cache: Cache | None) -> Mapping[str, float]:
    if isinstance(machine, Clocked):
        machine.start_profile()
        machine.run(feeds, cache)
        return machine.profile()
    seconds, trace = _stopwatch()
    machine.run(feeds, cache, trace)
    return seconds


def _stopwatch() -> tuple[dict[str, float], Trace]:
    """Seconds since the buffer before, by buffer, and what notes them."""
    seconds: dict[str, float] = {}
    last = time.perf_counter()

    def note(name: str, codes: np.ndarray) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[name], last = now - last, now

    return seconds, note
