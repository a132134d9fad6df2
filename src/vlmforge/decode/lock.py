"""Lock: one that a forked process finds free."""

from __future__ import annotations

import os
import threading


class Lock:
    """Lets one thread in at a time; a context manager.

    A process that is forked while another thread is inside has no such thread, which would never
    leave: it gets a new lock.
    """

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._lock, self._process = threading.Lock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._renew()
        self._lock.acquire()

    def __exit__(self, *failure: object) -> None:
        self._lock.release()
