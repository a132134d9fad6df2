"""Ctrl-C in a chat: it ends the answer, not the chat."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed while an answer was made; pressed again, it ends the program."""

    def __init__(self) -> None:
        self._pressed = False

    def pressed(self) -> bool:
        return self._pressed

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep the first Ctrl-C from raising KeyboardInterrupt within the block."""
        self._pressed = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True
