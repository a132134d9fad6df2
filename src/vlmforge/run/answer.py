"""Answer: what an engine has been asked for, as it arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from vlmforge.run.generate import Finish, Generation, Step


class Answer:
    """An answer in the making. May be used from several threads.

    Iterating gives its steps from the first on, waiting for those that have not arrived; any
    number of threads may do so.

    Args:
        on_step: called with each step as it arrives, on the engine's thread; what it raises
            ends this answer and no other.
        engine: is not closed for want of references as long as there is the answer.
    """

    def __init__(
        self, on_step: Callable[[Step], None] | None = None, engine: object = None
    ) -> None:
        self._on_step, self._engine = on_step, engine
        self._steps: list[Step] = []
        self._finish: Finish | None = None
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Step]:
        """The steps; ends where the answer ends, and raises what made it fail."""
        count = 0
        while (step := self._wait_for(count)) is not None:
            yield step
            count += 1

    def cancel(self) -> None:
        """End the answer with what has arrived; does nothing once it has ended."""
        self._end("cancelled", None)

    def result(self, timeout: float | None = None) -> Generation:
        """The whole answer, once it has ended.

        Args:
            timeout: seconds to wait for that; forever by default.

        Raises:
            TimeoutError: it has not ended by then.
            RunError: what made it fail.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.done, timeout):
                raise TimeoutError(f"the answer has not ended within {timeout} seconds")
            if self._error is not None:
                raise self._error
            assert self._finish is not None
            tokens = tuple(step.token_id for step in self._steps)
            return Generation(tokens, "".join(step.text for step in self._steps), self._finish)

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
            self._on_step(step)
        if step.finish is not None:
            self._end(step.finish, None)

    def fail(self, error: BaseException) -> None:
        """For the engine: no step will follow."""
        self._end(None, error)

    def _end(self, finish: Finish | None, error: BaseException | None) -> None:
        with self._changed:
            if not self.done:
                self._finish, self._error = finish, error
            self._changed.notify_all()

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
