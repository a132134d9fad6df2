"""Failures: what went wrong, where, and how to mend it. A traceback reaches nobody."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.text import Text

from vlmforge.console.output import ERRORS
from vlmforge.errors import SystemFailure, VlmforgeError
from vlmforge.text import shown

FAILED = 2
"""Exit status after an expected failure."""

UNEXPECTED = 1
"""Exit status after one that nobody thought of."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""

DEBUG = "VLMFORGE_DEBUG"
"""Environment variable; set to 1, it prints the traceback of every failure."""

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Unable to allocate")
"""What libraries without an error of their own say."""


@contextmanager
def expected_failures(scripts: Mapping[str, str] | None = None) -> Iterator[None]:
    """End the program after a failure as its user can understand it.

    Exit status 2 after a failure with a known cause, 1 after any other, 130 after Ctrl-C, which may
    bring a sentence of its own. Errors of the command line itself pass.

    Args:
        scripts: what the user runs in place of commands that mends name, the longest first.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        ERRORS.print(str(error) or "interrupted; files already finished are kept")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        _silence()
        sys.exit(UNEXPECTED)
    except Exception as error:
        if hasattr(error, "exit_code"):  # as the command line's own errors have
            raise
        _debug()
        known = known_failure(error)
        tell(known, scripts or {}) if known is not None else _tell_unexpected(error)
        if isinstance(error, OSError):
            _silence()
        sys.exit(UNEXPECTED if known is None else FAILED)


def known_failure(error: Exception) -> VlmforgeError | None:
    """The failure in words, None if nobody thought of it."""
    if isinstance(error, VlmforgeError):
        return error
    if isinstance(error, OSError):
        return SystemFailure.of(error)
    if isinstance(error, MemoryError) or any(part in str(error) for part in OUT_OF_MEMORY):
        return SystemFailure(
            "the memory does not suffice",
            mend="close other programs, ask for less at once, or use a larger machine",
        )
    return None


def tell(error: VlmforgeError, scripts: Mapping[str, str] | None = None) -> None:
    """Write a failure to standard error; ``scripts`` as in :func:`expected_failures`."""
    mend = error.mend
    for command, script in (scripts or {}).items():
        mend = mend and mend.replace(command, script)
    lines = [shown(error.what)]
    if error.where is not None:
        lines.append(f"  where: {shown(error.where, keep='')}")
    if mend is not None:
        lines.append(f"  mend:  {shown(mend)}")
    ERRORS.print(Text("error: ", "bold red"), end="")
    ERRORS.print("\n".join(lines), soft_wrap=True)


def _tell_unexpected(error: Exception) -> None:
    said = shown(str(error).partition("\n")[0])
    what = f"unexpected {type(error).__name__}{': ' if said else ''}{said}"
    path = _written(traceback.format_exc())
    where = f"; the full report is in {shown(path, keep='')}" if path else ""
    ERRORS.print(Text("error: ", "bold red"), end="")
    ERRORS.print(f"{what}{where}", soft_wrap=True)


def _written(report: str) -> str | None:
    """The path of a private file with the report, None if none can be written."""
    with suppress(OSError):
        descriptor, path = tempfile.mkstemp(prefix="vlmforge-", suffix=".log")
        with open(descriptor, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            file.write(f"{' '.join(map(repr, sys.argv))}\n{report}")
        return path
    return None


def _debug() -> None:
    if os.environ.get(DEBUG) == "1":
        ERRORS.print(shown(traceback.format_exc()), soft_wrap=True)


def _silence() -> None:
    """Let what is still to be flushed at exit go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
