"""Inference schemes: how the cores of this computer share the work of a program."""

from __future__ import annotations

import os

from vlmforge.config import InferenceScheme
from vlmforge.errors import RunError
from vlmforge.machine.cores import THREADS, cores
from vlmforge.machine.machine import Machine, open_machine
from vlmforge.machine.multi import MultiMachine
from vlmforge.program.core import Program


def open_scheme(program: Program, scheme: InferenceScheme | None = None) -> Machine:
    """A machine that shares the work as a scheme says.

    Args:
        program: verified, as every program read from a file is.
        scheme: by default ``all`` if ``VLMFORGE_THREADS`` is set, else the one the program was
            compiled for.

    Raises:
        RunError: the program names an unknown scheme, or ``VLMFORGE_THREADS`` is no number.
    """
    available = cores()
    if scheme is None:
        scheme = InferenceScheme.ALL if os.environ.get(THREADS) else recorded(program)
    if scheme is InferenceScheme.MULTI:
        return MultiMachine(open_machine(program, threads=1, verified=True), available)
    split = {InferenceScheme.SINGLE: 1, InferenceScheme.GLOBAL4: 4, InferenceScheme.GLOBAL8: 8}
    threads = min(available, split.get(scheme, available))
    return open_machine(program, threads=threads, verified=True)


def recorded(program: Program) -> InferenceScheme:
    """The scheme a program was compiled for; ``all`` if it does not say.

    Raises:
        RunError: it is not a known one.
    """
    name = program.meta.get("inference_scheme", InferenceScheme.ALL.value)
    try:
        return InferenceScheme(name)
    except ValueError as error:
        raise RunError(
            f"the program was compiled for an unknown inference scheme, {name!r}",
            where=f"the {program.component} program",
            mend="choose a scheme, or compile the program again",
        ) from error
