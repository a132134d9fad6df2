"""Plain texts to calibrate with, to predict or to diagnose with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlmforge.errors import FormatError, SystemFailure

PIECE = 1 << 22
"""Characters of a text that become tokens at once; each token takes a hundred bytes meanwhile."""


def pieces(text: str) -> Iterator[str]:
    """A text in pieces of whole lines, of at most :data:`PIECE` characters; short ones are whole.

    A line that is longer is cut all the same.
    """
    start = 0
    while start < len(text):
        stop = start + PIECE
        if stop < len(text):
            stop = text.rfind("\n", start, stop) + 1 or stop
        yield text[start:stop]
        start = stop


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, without the mark some editors begin it with.

    Bytes of another encoding are refused: what replaced them would count as text.

    Raises:
        FormatError: the file cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise FormatError(
            f"the text cannot be read: {error.strerror}",
            where=path,
            mend=SystemFailure.of(error).mend,
        ) from error
    except UnicodeDecodeError as error:
        raise FormatError(
            f"the text is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}",
            where=path,
            mend="convert it, such as with `iconv -f LATIN1 -t UTF-8`, or name another file",
        ) from error
