"""Machine: what runs an integer program, and the choice among the implementations."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from vlmforge.errors import RunError
from vlmforge.machine.cache import Cache
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.machine.request import Request
from vlmforge.program.core import Program
from vlmforge.program.verify import verify

__all__ = ["IMPLEMENTATIONS", "Cache", "Machine", "Request", "Trace", "open_machine"]

Trace = Callable[[str, np.ndarray], None]
"""Called with the name and codes of each buffer as it is written; it must not change them."""


class Machine(Protocol):
    """An implementation of the instruction set in ``docs/numbers.md``.

    All implementations give the same codes, bit for bit. Any method may be called from several
    threads at once, as long as no two runs share a cache.
    """

    program: Program

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache for up to ``capacity`` positions.

        Raises:
            RunError: the program was compiled for fewer positions.
        """
        ...

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> dict[str, np.ndarray]:
        """Execute the program once.

        Args:
            inputs: each of the program's inputs by name, in its dtype and shape.
            cache: positions passed before; those of this run are appended to it once all
                instructions have succeeded. None attends to this run's positions only.
            trace: sees every buffer an instruction writes.

        Returns:
            The program's outputs by name.

        Raises:
            RunError: inputs do not fit the program, a position is beyond the tables, a row index
                is out of range, the cache is full, there is no memory, or a file of the program
                was changed; the cache then keeps its length.
        """
        ...

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        """Execute the program once for each request, reading the weights once where possible.

        Args:
            requests: inputs with their caches, no two the same cache; their dynamic dimensions
                may differ.

        Returns:
            The outputs of each request, equal to those of :meth:`run` to the last bit.

        Raises:
            RunError: as :meth:`run` for any of the requests, or two share a cache; then every
                cache keeps its length.
        """
        ...


Implementation = Callable[[Program, int | None], Machine]
"""Makes a machine for a verified program and a number of threads, None for any."""


def _implementations() -> dict[str, Implementation]:
    try:
        from vlmforge.machine.native.machine import NativeMachine
    except ModuleNotFoundError as error:
        if error.name != "vlmforge._native":
            raise
        return {"reference": ReferenceMachine}
    return {"native": NativeMachine, "reference": ReferenceMachine}


IMPLEMENTATIONS: Final = _implementations()
"""Name to constructor, the fastest first; the native machine where it was built."""


def open_machine(
    program: Program,
    implementation: str | None = None,
    threads: int | None = None,
    *,
    verified: bool = False,
) -> Machine:
    """A machine for a program, which is verified first.

    Args:
        program: any program; nothing about it is trusted.
        implementation: a key of :data:`IMPLEMENTATIONS`; the fastest if None.
        threads: that share the work of a run; the implementation decides if None.
        verified: whether it was verified before, as every program read from a file was.

    Raises:
        FormatError: the program breaks a rule of the instruction set.
        RunError: there is no such implementation.
    """
    name = next(iter(IMPLEMENTATIONS)) if implementation is None else implementation
    if name not in IMPLEMENTATIONS:
        raise RunError(
            f"there is no machine called {name!r}", mend=f"use one of {', '.join(IMPLEMENTATIONS)}"
        )
    if implementation is None and name == "reference":
        _tell_of_reference()
    if not verified:
        verify(program)
    return IMPLEMENTATIONS[name](program, threads)


@functools.cache
def _tell_of_reference() -> None:
    """Say, once a process, that the machine in use is the slow one."""
    warnings.warn(
        "vlmforge was installed without its native machine: programs run on the slow reference"
        " machine. Install a C++ compiler, then vlmforge again.",
        stacklevel=3,
    )
