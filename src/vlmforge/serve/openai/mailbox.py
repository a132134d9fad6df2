"""Mailbox: what other threads tell an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, ClassVar
from weakref import WeakKeyDictionary


class Mailbox:
    """Fills queues of an event loop from other threads, and wakes it once for all that waits.

    An engine's step tells of many answers within microseconds; each call that wakes the loop takes
    longer than that.

    Args:
        loop: whose queues are filled.
    """

    _of: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[asyncio.Queue[Any], Any]] = deque()
        self._woken = False

    @staticmethod
    def here() -> Mailbox:
        """That of the running event loop."""
        loop = asyncio.get_running_loop()
        return Mailbox._of.setdefault(loop, Mailbox(loop))

    def put(self, queue: asyncio.Queue[Any], item: Any) -> None:
        """Put an item into a queue of the loop; in vain once the loop has ended."""
        self._waiting.append((queue, item))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        while self._waiting:
            queue, item = self._waiting.popleft()
            queue.put_nowait(item)
