"""The process of a command: its streams, its signals, and what libraries log."""

from __future__ import annotations

import io
import logging
import signal
import sys
from types import FrameType

from vlmforge import console

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a command; Windows has no SIGHUP."""

ENCODING = "utf-8" if sys.platform == "win32" else None
"""Of the streams; None leaves what the locale says. Pipes of Windows have an encoding of old."""


def prepare() -> None:
    """Let no byte typed or printed be an error, and no signal leave temporaries behind."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=ENCODING, errors="replace")
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    logging.getLogger("vlmforge").addHandler(_Warnings())


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave as after an exception, so that temporaries are cleared; status as shells have it."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


class _Warnings(logging.Handler):
    """Writes what is logged to standard error, between progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        console.warn(record.getMessage())
