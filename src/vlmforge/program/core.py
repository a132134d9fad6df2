"""Program, Instruction, Buffer: what an integer machine executes.

The instructions and their exact arithmetic are specified in ``docs/numbers.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlmforge.dims import Shape


@dataclass(frozen=True)
class Buffer:
    """A value of the program.

    Attributes:
        name: unique in the program; the name of the instruction that writes it, or of an input.
        shape: sizes, names of dynamic dimensions (``"seq"``) and multiples (``"4*groups"``).
        dtype: ``"int8"``, ``"int16"``, ``"int64"`` or ``"float32"``.
        scale: ``real = scale * code`` for a per-tensor integer buffer, else None.
    """

    name: str
    shape: Shape
    dtype: str
    scale: float | None = None


@dataclass(frozen=True)
class Instruction:
    """One step of the program; it writes the buffer called as itself.

    Attributes:
        name: also the name of the buffer written.
        op: a key of :data:`vlmforge.program.instructions.INSTRUCTIONS`.
        inputs: buffers read.
        tensors: role to tensor name.
        attrs: JSON-able constants; every float is exactly representable in float32.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    tensors: dict[str, str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Program:
    """An integer program.

    Attributes:
        component: ``"language"`` or ``"vision"``.
        inputs: names of the buffers the caller fills.
        outputs: names of the buffers handed back.
        buffers: name to buffer.
        instructions: in execution order.
        tensors: name to array, usually mapped straight from the file.
        meta: provenance, fingerprints and limits (``cache_length``), JSON-able.
        guard: called by a machine before every run; raises :class:`RunError` if the files behind
            the tensors, or others the run needs, were changed since they were mapped.
    """

    component: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: dict[str, Buffer]
    instructions: tuple[Instruction, ...]
    tensors: Mapping[str, np.ndarray]
    meta: dict[str, Any] = field(default_factory=dict)
    guard: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)

    def finished_after(self) -> dict[str, list[str]]:
        """Instruction to the buffers nothing reads after it; outputs are never finished."""
        steps = self.instructions
        last = {name: step.name for step in steps for name in (step.name, *step.inputs)}
        finished: dict[str, list[str]] = {}
        for name, reader in last.items():
            if name not in self.outputs:
                finished.setdefault(reader, []).append(name)
        return finished
