"""The lines a person types: with history and editing at a terminal, as they come from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LONGEST = 1000
"""Lines kept from one chat to the next."""

PROMPT = "> "


def is_terminal() -> bool:
    """Whether a person types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def typed_lines(interrupted: Callable[[], bool], tell: Callable[[str], None]) -> Iterator[str]:
    """Lines typed at a terminal, until the end of input or Ctrl-C twice.

    Args:
        interrupted: whether Ctrl-C was pressed since the last line; pressed again, it leaves.
        tell: receives a hint after Ctrl-C at the prompt.
    """
    with _history():
        again = False
        while True:
            try:
                again = again or interrupted()
                line = input(PROMPT)
            except EOFError:
                tell("\n")
                return
            except KeyboardInterrupt:
                if again:
                    tell("\n")
                    return
                again = True
                tell("\nCtrl-C again, or /exit, leaves\n")
                continue
            again = False
            yield line


def history_file() -> Path | None:
    """Where lines are kept (XDG base directory specification); None without a home."""
    with suppress(RuntimeError):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(state) / "vlmforge" / "chat_history"
    return None


@contextmanager
def _history() -> Iterator[None]:
    """Line editing, with the lines of earlier chats; neither where there is no readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_file()
    _read(readline, path)
    try:
        yield
    finally:
        _write(readline, path)


def _read(readline: Any, path: Path | None) -> None:
    readline.set_history_length(LONGEST)
    readline.set_auto_history(True)
    if path is not None:
        with suppress(OSError):
            readline.read_history_file(path)


def _write(readline: Any, path: Path | None) -> None:
    """Write the lines for this user alone."""
    if path is None:
        return
    mask = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(path)
        path.chmod(0o600)
    except OSError:
        return  # a chat without a memory is still a chat
    finally:
        os.umask(mask)
