"""Answers: what the engine's thread makes of a request, heard on the event loop of a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

from vlmforge.decode.generate import Generation, Step
from vlmforge.serve.answer import Answer
from vlmforge.serve.openai.mailbox import Mailbox
from vlmforge.serve.openai.metrics import Metrics

OnStep = Callable[[Step], None]
OnEnd = Callable[[], None]

Ask = Callable[[OnStep, OnEnd], Answer]
"""Submits a request, given what to call with each step and at the end."""


class Answers:
    """The answers to one request, side by side. Belongs to the event loop that it is made on.

    Args:
        asks: submit the request, once for each answer.
        metrics: take note of the answers.
    """

    def __init__(self, asks: Sequence[Ask], metrics: Metrics) -> None:
        self._asks, self._metrics = asks, metrics
        self._mailbox = Mailbox.here()
        self._heard: asyncio.Queue[tuple[int, Step | None]] = asyncio.Queue()
        self._answers: list[Answer] = []
        self._left, self._lock = False, threading.Lock()

    async def ask(self, streams: bool) -> None:
        """Submit the request on a thread, as images are read then.

        Args:
            streams: whether steps are to be heard one by one, or the ends of answers alone.

        Raises:
            RunError: what the engine says of it; nothing is left in the making.
        """
        try:
            for index, ask in enumerate(self._asks):
                await asyncio.to_thread(self._ask, index, ask, streams)
        except BaseException:
            self.leave()
            raise

    async def __aiter__(self) -> AsyncIterator[tuple[int, Step]]:
        """The steps as they arrive, if they are heard, with the answer that each belongs to.

        Raises:
            RunError: what made an answer fail.
        """
        left = len(self._asks)
        while left:
            index, step = await self._heard.get()
            if step is not None:
                yield index, step
                continue
            left -= 1
            self._answers[index].result(0)

    async def finished(self) -> list[Generation]:
        """The whole answers, once they have ended; raises as iterating does."""
        async for _ in self:
            pass
        return [answer.result(0) for answer in self._answers]

    def leave(self) -> None:
        """Nobody wants the answers any more, whether or not they have been asked for."""
        with self._lock:
            self._left = True
            answers = [*self._answers]
        for answer in answers:
            answer.cancel()

    def _ask(self, index: int, ask: Ask, streams: bool) -> None:
        watch = self._metrics.watch()

        def on_step(step: Step) -> None:
            watch.step(step)
            if streams:
                self._hear(index, step)

        answer = ask(on_step, lambda: self._hear(index, None))
        with self._lock:
            self._answers.append(answer)
            left = self._left
        if left:
            answer.cancel()

    def _hear(self, index: int, step: Step | None) -> None:
        self._mailbox.put(self._heard, (index, step))
