"""What processes of the tests start with."""

from __future__ import annotations

import signal


def default_signals() -> None:
    """Undo what a shell's background jobs inherit: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
