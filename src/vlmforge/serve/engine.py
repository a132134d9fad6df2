"""Engine: several conversations on one session, decoded as one batch."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType

import numpy as np

from vlmforge.decode.context import require_embedded
from vlmforge.decode.generate import Generation, Options, Step
from vlmforge.decode.prefix import PrefixCache
from vlmforge.images.visual import Visual
from vlmforge.prompt.messages import Message, Tool
from vlmforge.run.session import Session
from vlmforge.serve.answer import Answer
from vlmforge.serve.scheduler import Limits, Scheduler
from vlmforge.serve.task import Task
from vlmforge.serve.worker import Worker

RUNNING = 8
"""Answers in the making where nothing says how many."""


class Engine:
    """Answers requests side by side, each with the tokens it would get alone.

    A context manager: leaving it waits for all answers, or cancels them if an exception left it.
    May be used from several threads.

    Args:
        session: the package.
        max_running: most answers in the making; others wait. By default as many as the package was
            compiled for, or :data:`RUNNING`.
        max_tokens: most tokens in their caches; by default as many as ``max_running``
            conversations of the session's maximum length have.
        prefill_tokens: most prompt tokens read in one step while answers are being decoded.
        prefix_tokens: most tokens kept after their request, for others that begin alike.
        max_waiting: most requests that wait, None for any number.

    Raises:
        RunError: a limit is out of range.
    """

    def __init__(
        self,
        session: Session,
        max_running: int | None = None,
        max_tokens: int | None = None,
        *,
        prefill_tokens: int = 64,
        prefix_tokens: int = 4096,
        max_waiting: int | None = None,
    ) -> None:
        if max_running is None:
            max_running = session.package.text.meta.get("batch_size", RUNNING)
        tokens = max_running * session.max_length if max_tokens is None else max_tokens
        limits = Limits(max_running, tokens, prefill_tokens, max_waiting)
        limits.check(session.max_length)
        self.session = session
        self.prefixes = PrefixCache(session.text, prefix_tokens)
        self._ahead = 2 * max_running
        self._worker = Worker(Scheduler(session, limits, self.prefixes), limits.waiting)
        self._worker.start()
        weakref.finalize(self, self._worker.stop, cancel=True)

    def submit(
        self,
        messages: Sequence[Message],
        options: Options | None = None,
        on_step: Callable[[Step], None] | None = None,
        *,
        tools: Sequence[Tool] = (),
        on_end: Callable[[], None] | None = None,
    ) -> Answer:
        """Ask for an answer, and go on at once.

        Args:
            messages: the conversation; images are read here, so that mistakes show here.
            options: how to answer.
            on_step: called with each step as it arrives, on the engine's thread.
            tools: what the answer may call, in the form that the chat template gives it.
            on_end: called once, behind the last step, when the answer has ended in any way; must
                not raise.

        Raises:
            LengthError: the messages are too long.
            ClosedError: the engine is closed.
            BusyError: too many requests are waiting.
            RunError: the messages are malformed, or show what cannot be seen.
        """
        prepared = self.session.prepare(messages, tools)
        return self._ask(*prepared, options, Answer(on_step, self, on_end))

    def submit_text(
        self,
        text: str | Sequence[int],
        options: Options | None = None,
        on_step: Callable[[Step], None] | None = None,
        *,
        on_end: Callable[[], None] | None = None,
    ) -> Answer:
        """Ask how a text goes on, without a chat template.

        Args:
            text: or its tokens.
            options, on_step, on_end: as of :meth:`submit`.

        Raises:
            RunError: as :meth:`submit`.
        """
        prompts = self.session.prompts
        tokens = prompts.encode_text(text) if isinstance(text, str) else np.array(text, np.int64)
        require_embedded(tokens, len(self.session.package.embeddings))
        return self._ask(tokens, [], options, Answer(on_step, self, on_end))

    def _ask(
        self,
        token_ids: np.ndarray,
        visuals: list[Visual],
        options: Options | None,
        answer: Answer,
    ) -> Answer:
        self._worker.submit(Task(self.session, token_ids, visuals, options or Options(), answer))
        return answer

    def map(
        self, conversations: Iterable[Sequence[Message]], options: Options | None = None
    ) -> Iterator[Generation]:
        """The answers to many conversations, in their order; only some are asked ahead.

        Raises:
            RunError: as :meth:`submit`, when the answer would be due.
        """
        asked: deque[Answer] = deque()
        try:
            for messages in conversations:
                asked.append(self.submit(messages, options))
                if len(asked) == self._ahead:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
        finally:
            for answer in asked:
                answer.cancel()

    def running(self) -> int:
        """Answers in the making."""
        return self._worker.running

    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._worker.waiting

    @property
    def closed(self) -> bool:
        """Whether requests are refused."""
        return self._worker.stopping

    def close(self, cancel: bool = False) -> None:
        """Take no more requests, and wait for the answers, or cancel them."""
        self._worker.stop(cancel)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(cancel=error is not None)
