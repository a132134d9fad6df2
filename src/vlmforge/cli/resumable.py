"""Commands that go on after an interruption say so when they are interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vlmforge import console
from vlmforge.cli.process import ENDING

GO_ON = "interrupted: run the same command again to go on"


@contextmanager
def resumable() -> Iterator[None]:
    """Says how to go on, where Ctrl-C or another signal ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(GO_ON) from None
    except SystemExit as leaving:
        if leaving.code in [128 + number for number in ENDING]:
            console.warn(GO_ON)
        raise
