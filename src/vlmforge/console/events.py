"""Events: what a command does, for programs; ``docs/command-line.md`` lists them.

Each is a JSON object on a line of its own of standard output. Of ``progress`` there is at most one
a second, beside the last of each piece. The last event is ``done`` or ``failed``.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from vlmforge.bench.watch import Memory
from vlmforge.console.course import Piece, View
from vlmforge.console.failures import FAILED, INTERRUPTED, UNEXPECTED, known_failure
from vlmforge.console.output import print_json_line

PAUSE = 1.0
"""Least seconds between two events that tell how far a piece is."""


def tell(event: str, facts: Mapping[str, object]) -> None:
    """Write an event."""
    print_json_line({"event": event, **facts})


class EventScreen:
    """Events for a display.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._told = clock, -math.inf

    def begun(self, view: View, memory: Memory | None) -> None:
        tell("stage", {"state": "begun", **_stage(view, memory)})

    def moved(self, view: View, memory: Memory | None) -> None:
        if self._clock() - self._told >= PAUSE or view.done >= view.total:
            self._told = self._clock()
            piece = {"text": view.text, "done": view.done, "total": view.total}
            tell("progress", {**_stage(view, memory), **piece})

    def finished(self, piece: Piece) -> None:
        """Nothing: its last step was told of."""

    def ended(self, view: View, memory: Memory | None) -> None:
        tell("stage", {"state": "ended", **_stage(view, memory)})

    def note(self, text: str) -> None:
        tell("note", {"text": text})


def _stage(view: View, memory: Memory | None) -> dict[str, Any]:
    return {
        "stage": view.stage,
        "number": view.number,
        "stages": view.stages,
        "seconds": round(view.seconds, 1),
        "left_seconds": _rounded(view.left),
        "all_left_seconds": _rounded(view.all_left),
        "memory": None if memory is None else asdict(memory),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


class _Warnings(logging.Handler):
    """What is logged, as events."""

    def emit(self, record: logging.LogRecord) -> None:
        tell("warning", {"text": record.getMessage()})


@contextmanager
def warnings_told() -> Iterator[None]:
    """What is logged within becomes events, too."""
    handler, logger = _Warnings(), logging.getLogger("vlmforge")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def failures_told() -> Iterator[None]:
    """What ends the block becomes the event ``failed``, and goes on to end the command."""
    try:
        yield
    except BrokenPipeError:  # nobody reads events any more
        raise
    except KeyboardInterrupt:
        _tell_failure("interrupted", INTERRUPTED)
        raise
    except SystemExit as error:
        if isinstance(error.code, int) and error.code > INTERRUPTED - 2:
            _tell_failure(f"ended by the signal {error.code - 128}", error.code)
        raise
    except Exception as error:
        if hasattr(error, "exit_code"):  # as the command line's own errors have
            if error.exit_code:
                _tell_failure(str(getattr(error, "message", error)), error.exit_code)
            raise
        known = known_failure(error)
        if known is None:
            _tell_failure(f"unexpected {type(error).__name__}: {error}", UNEXPECTED)
        else:
            where = None if known.where is None else str(known.where)
            _tell_failure(known.what, FAILED, type(known).__name__, where, known.mend)
        raise


def _tell_failure(
    what: str,
    status: int,
    kind: str | None = None,
    where: str | None = None,
    mend: str | None = None,
) -> None:
    facts = {"what": what, "where": where, "mend": mend, "kind": kind, "status": status}
    tell("failed", facts)
