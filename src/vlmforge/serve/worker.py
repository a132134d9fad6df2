"""Worker: the thread that takes an engine's steps."""

from __future__ import annotations

import os
import threading

from vlmforge.errors import BusyError, ClosedError
from vlmforge.serve.answer import require_process
from vlmforge.serve.scheduler import Scheduler
from vlmforge.serve.task import Task


class Worker(threading.Thread):
    """Steps a scheduler while there are tasks, and sleeps while there are none.

    Args:
        scheduler: used by this thread alone.
        waiting: most tasks that have not been admitted, None for any number.
    """

    def __init__(self, scheduler: Scheduler, waiting: int | None = None) -> None:
        super().__init__(name="vlmforge-engine", daemon=True)
        self._scheduler, self._most = scheduler, waiting
        self._arrived: list[Task] = []
        self._stopping = self._cancelling = False
        self._changed, self._process = threading.Condition(), os.getpid()

    def submit(self, task: Task) -> None:
        """Hand over a task, from any thread.

        Raises:
            ClosedError: the worker is stopping.
            BusyError: too many tasks are waiting.
            RunError: the worker is of another process.
        """
        require_process(self._process)
        with self._changed:
            if self._stopping:
                raise ClosedError("the engine is closed", mend="open another engine")
            if self._most is not None and self.waiting >= self._most:
                raise BusyError(
                    f"{self.waiting} requests are waiting already",
                    mend="try again later, or open the engine with a larger max_waiting",
                )
            self._arrived.append(task)
            self._changed.notify()

    @property
    def stopping(self) -> bool:
        """Whether no more tasks are taken."""
        return self._stopping

    @property
    def running(self) -> int:
        """Tasks that have been admitted."""
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        """Tasks that have not."""
        return len(self._arrived) + len(self._scheduler.waiting)

    def stop(self, cancel: bool) -> None:
        """Take no more tasks, and return when all have ended; ``cancel`` ends them now.

        In a forked process it does nothing.
        """
        if self._process != os.getpid():
            return
        with self._changed:
            self._stopping = True
            self._cancelling |= cancel
            self._changed.notify()
        if threading.current_thread() is not self:
            self.join()

    def run(self) -> None:
        """Step until stopped; a fault of the scheduler ends every task with its error."""
        try:
            while self._collect():
                self._scheduler.step()
        except BaseException as error:
            with self._changed:
                self._stopping = True
                for task in [*self._arrived, *self._scheduler.tasks]:
                    task.answer.fail(error)

    def _collect(self) -> bool:
        """Wait until there is something to do, and move what arrived; False if stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._scheduler.tasks or self._stopping)
            self._scheduler.waiting.extend(self._arrived)
            self._arrived.clear()
            for task in self._scheduler.tasks if self._cancelling else ():
                task.answer.cancel()
            return bool(self._scheduler.tasks)
