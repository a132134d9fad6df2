"""QbRuntimeError: every failure, as clients of the runtime catch it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vlmforge.errors import VlmforgeError

OUT_OF_MEMORY = "BadAlloc"
"""By this word clients tell a lack of memory from other failures."""


class QbRuntimeError(RuntimeError):
    """What a model cannot do, and why."""


@contextmanager
def reported() -> Iterator[None]:
    """Turn the failures of this project within into :class:`QbRuntimeError`, word for word."""
    try:
        yield
    except VlmforgeError as error:
        memory = isinstance(error.__cause__, MemoryError)
        raise QbRuntimeError(f"{OUT_OF_MEMORY}: {error}" if memory else str(error)) from error
    except MemoryError as error:
        raise QbRuntimeError(f"{OUT_OF_MEMORY}: {error or 'there is not enough memory'}") from error
