"""Scheduler: which tokens of which tasks a step runs.

Continuous batching after Orca (OSDI 2022), chunked prefill after Sarathi-Serve (arXiv 2403.02310),
preemption by recomputation after vLLM (arXiv 2309.06180).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vlmforge.decode.inputs import common_length
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.reading import CHUNK, read
from vlmforge.errors import RunError
from vlmforge.run.session import Session
from vlmforge.serve.task import Task


@dataclass(frozen=True)
class Limits:
    """What an engine may take.

    Attributes:
        running: most tasks that have a cache.
        tokens: most tokens in all their caches.
        prefill: most prompt tokens a step reads while answers are being decoded; if none are,
            it is :data:`CHUNK`.
        waiting: most tasks that wait to be admitted, None for any number.
    """

    running: int
    tokens: int
    prefill: int
    waiting: int | None = None

    def check(self, max_length: int) -> None:
        """Raise :class:`RunError` unless a session's longest conversation can be answered."""
        for name in ("running", "prefill"):
            if getattr(self, name) < 1:
                raise RunError(f"{name} is {getattr(self, name)}", mend="choose 1 or more")
        if self.waiting is not None and self.waiting < 0:
            raise RunError(f"waiting is {self.waiting}", mend="choose 0 or more")
        if self.tokens < max_length:
            raise RunError(
                f"the caches may hold {self.tokens} tokens, one conversation {max_length}",
                mend="allow more tokens, or open the session with a smaller max_length",
            )


class Scheduler:
    """The tasks of an engine, in the order they came. For one thread.

    Args:
        session: the package.
        limits: checked.
        prefixes: of the session.
    """

    def __init__(self, session: Session, limits: Limits, prefixes: PrefixCache) -> None:
        self._session, self._limits, self._prefixes = session, limits, prefixes
        self.waiting: deque[Task] = deque()
        self.running: list[Task] = []

    @property
    def tasks(self) -> list[Task]:
        """All that have not ended."""
        return [*self.running, *self.waiting]

    def step(self) -> None:
        """Admit what there is room for, encode at most one image or slice, and run one batch.

        A failure ends the task that caused it and no other.
        """
        self._drop_ended()
        self._preempt()
        self._admit()
        self._see()
        for task in self._run(self._shares()):
            self._advance(task)
        self._drop_ended()

    def _drop_ended(self) -> None:
        for task in self.running:
            if task.answer.done:
                self._release(task)
        self.running = [task for task in self.running if not task.answer.done]
        self.waiting = deque(task for task in self.waiting if not task.answer.done)

    def _release(self, task: Task) -> None:
        """Let others profit from what a task that gives its cache back has read."""
        if task.context is not None:
            self._prefixes.remember(task.context)

    def _tokens(self) -> int:
        return sum(task.length for task in self.running)

    def _preempt(self) -> None:
        """The youngest give their caches back until the others have room, and wait again."""
        while self._tokens() > self._limits.tokens:
            task = self.running.pop()
            self._release(task)
            task.preempt()
            self.waiting.appendleft(task)

    def _admit(self) -> None:
        while self.waiting and self._has_room(self.waiting[0]):
            task = self.waiting.popleft()
            with _blamed(task):
                task.admit()
                self.running.append(task)

    def _has_room(self, task: Task) -> bool:
        """Whether a task may run beside the others, each of which is given one more token."""
        if not self.running:
            return True
        count = len(self.running) + 1
        tokens = self._tokens() + task.length + count
        return count <= self._limits.running and tokens <= self._limits.tokens

    def _see(self) -> None:
        """Give the tasks their images, in order, until a second slice would have to be encoded."""
        encoded = False
        for task in self.running:
            while task.unseen and not task.answer.done:
                features = self._session.recall(task.unseen[0])
                if features is None:
                    if encoded:
                        return
                    encoded = True
                with _blamed(task):
                    task.see(features or self._session.encode_slice(task.unseen[0], task.rows))

    def _shares(self) -> list[tuple[Task, int]]:
        """The tasks of this step, and how many tokens it reads of each."""
        decoding = [(task, 1) for task in self.running if task.decoding]
        return decoding + self._prefill(self._limits.prefill if decoding else CHUNK)

    def _prefill(self, tokens: int) -> list[tuple[Task, int]]:
        """The tasks that share ``tokens`` of prompts: first come, first served."""
        shares: list[tuple[Task, int]] = []
        for task in self.running:
            if tokens == 0:
                break
            if not task.prefilling or task.answer.done or self._is_about_to_be_known(task, shares):
                continue
            with _blamed(task):
                shares.append((task, min(task.begin(self._prefixes).left, tokens)))
                tokens -= shares[-1][1]
        return shares

    def _is_about_to_be_known(self, task: Task, shares: list[tuple[Task, int]]) -> bool:
        """Whether it pays to wait a step, as others are reading what this task begins with."""
        assert task.inputs is not None
        if task.reading is not None:
            return False
        keys = task.inputs.keys
        soon = [each.inputs.keys[: each.read + tokens] for each, tokens in shares if each.inputs]
        common = max((common_length(keys, others) for others in soon), default=0)
        return min(common, self._prefixes.capacity) > self._prefixes.known(keys)

    def _run(self, shares: list[tuple[Task, int]]) -> list[Task]:
        """Run one batch; the tasks that did not fail."""
        if not shares:
            return []
        try:
            read([(task.begin(self._prefixes), tokens) for task, tokens in shares])
        except Exception as error:
            if len(shares) == 1:
                shares[0][0].answer.fail(error)
            alone = [self._run([share]) for share in shares if len(shares) > 1]
            return [task for tasks in alone for task in tasks]
        return [task for task, _ in shares]

    def _advance(self, task: Task) -> None:
        assert task.context is not None and task.reading is not None
        if task.prefilling:
            self._prefixes.remember(task.context)
        if task.reading.left == 0:
            with _blamed(task):
                task.advance()


@contextmanager
def _blamed(task: Task) -> Iterator[None]:
    """A failure within ends the task, and is not passed on."""
    try:
        yield
    except Exception as error:
        task.answer.fail(error)
