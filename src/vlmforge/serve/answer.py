"""Answer: what an engine has been asked for, as it arrives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vlmforge.decode.generate import Finish, Generation, Step
from vlmforge.errors import RunError


class Answer:
    """An answer in the making. May be used from several threads.

    Iterating gives its steps from the first on, waiting for those that have not arrived; any
    number of threads may do so. When the last reader leaves before the end, by closing or
    dropping its iterator, and there is no listener, the answer is cancelled.

    Args:
        on_step: called with each step as it arrives, on the engine's thread; whatever it raises
            ends this answer and no other.
        engine: is not closed for want of references as long as there is the answer.
        on_end: called once, behind the last step, when the answer has ended in any way, on the
            thread that ended it; must not raise.
    """

    def __init__(
        self,
        on_step: Callable[[Step], None] | None = None,
        engine: object = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._on_step, self._on_end, self._engine = on_step, on_end, engine
        self._steps: list[Step] = []
        self._finish: Finish | None = None
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._readers, self._process = 0, os.getpid()

    def __iter__(self) -> Iterator[Step]:
        """The steps; ends where the answer ends, and raises what made it fail."""
        with self._reading(ends=True):
            count = 0
            while (step := self._wait_for(count)) is not None:
                yield step
                count += 1

    def cancel(self) -> None:
        """End the answer with what has arrived; does nothing once it has ended."""
        if self._process == os.getpid():
            self._end("cancelled", None)

    def result(self, timeout: float | None = None) -> Generation:
        """The whole answer, once it has ended.

        Args:
            timeout: seconds to wait for that; forever by default.

        Raises:
            TimeoutError: it has not ended by then.
            RunError: what made it fail, or this is a forked process, in which no engine runs.
        """
        with self._reading(ends=False), self._changed:
            if not self._changed.wait_for(lambda: self.done, timeout):
                raise TimeoutError(f"the answer has not ended within {timeout} seconds")
            if self._error is not None:
                raise self._error
            assert self._finish is not None
            return Generation.of(self._steps, self._finish)

    @property
    def done(self) -> bool:
        """Whether the answer has ended, in any way."""
        return self._finish is not None or self._error is not None

    def add(self, step: Step) -> None:
        """For the engine: one more step, unless the answer has ended."""
        with self._changed:
            if self.done:
                return
            self._steps.append(step)
            self._changed.notify_all()
        if self._on_step is not None:
            try:
                self._on_step(step)
            except Exception as error:
                self.fail(error)
            except BaseException as error:  # meant to end a thread, which is not the listener's
                self.fail(_stopped(error))
        if step.finish is not None:
            self._end(step.finish, None)

    def fail(self, error: BaseException) -> None:
        """For the engine: no step will follow."""
        self._end(None, error)

    def _end(self, finish: Finish | None, error: BaseException | None) -> None:
        with self._changed:
            ends = not self.done
            if ends:
                self._finish, self._error = finish, error
            self._changed.notify_all()
        if ends and self._on_end is not None:
            self._on_end()

    @contextmanager
    def _reading(self, ends: bool) -> Iterator[None]:
        """Count a reader; ``ends`` says whether the answer ends if the last one leaves so."""
        require_process(self._process)
        with self._changed:
            self._readers += 1
        try:
            yield
        finally:
            self._leave(ends)

    def _leave(self, ends: bool) -> None:
        if self._process != os.getpid():
            return
        with self._changed:
            self._readers -= 1
            if ends and self._readers == 0 and self._on_step is None:
                self._end("cancelled", None)

    def _wait_for(self, index: int) -> Step | None:
        """The step of that index, or None if the answer has ended before it."""
        with self._changed:
            self._changed.wait_for(lambda: self.done or index < len(self._steps))
            if self._finish == "cancelled":
                return None
            if index < len(self._steps):
                return self._steps[index]
            if self._error is not None:
                raise self._error
            return None


def require_process(process: int) -> None:
    """Raise :class:`RunError` in a process that was forked: threads stay behind in the parent."""
    if process != os.getpid():
        raise RunError(
            "the engine runs in the process that was forked, not in this one",
            mend="open an engine after forking, or start processes by spawning them",
        )


def _stopped(error: BaseException) -> RunError:
    failure = RunError(f"the listener ended with {type(error).__name__}")
    failure.__cause__ = error
    return failure
