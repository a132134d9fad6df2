"""Commands that go on after an interruption say so when they are interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vlmforge import console
from vlmforge.cli.process import ENDING

GO_ON = "interrupted: run the same command again{option} to go on"


@contextmanager
def resumable(fresh: bool = False) -> Iterator[None]:
    """Says how to go on, where Ctrl-C or another signal ends the block.

    Args:
        fresh: whether the command was asked to begin anew.
    """
    say = GO_ON.format(option=" without --fresh" if fresh else "")
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(say) from None
    except SystemExit as leaving:
        if leaving.code in [128 + number for number in ENDING]:
            console.warn(say)
        raise
