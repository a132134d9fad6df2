"""Events: an answer sent piece by piece (server-sent events of the HTML standard)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from vlmforge.errors import VlmforgeError
from vlmforge.serve.openai.failure import Failure

Event = tuple[str | None, Mapping[str, Any]]
"""A name, or none, and what is told."""

log = logging.getLogger("vlmforge.serve")


class EventStream(StreamingResponse):
    """A response of events.

    Args:
        events: what is told. What it raises is told as the last event.
        leave: called at the end, whether or not all has been told, or anything.
        done: whether the end is marked by ``[DONE]``.
    """

    def __init__(
        self, events: AsyncIterator[Event], leave: Callable[[], None], *, done: bool = True
    ) -> None:
        self._events, self._leave, self._done = events, leave, done
        super().__init__(
            self._lines(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    async def _lines(self) -> AsyncIterator[bytes]:
        try:
            async for name, told in self._events:
                yield _line(name, told)
        except Exception as error:
            if not isinstance(error, VlmforgeError):
                log.exception("an answer has failed")
            yield _line("error" if not self._done else None, Failure.of(error).body)
        if self._done:
            yield b"data: [DONE]\n\n"


def _line(name: str | None, told: Mapping[str, Any]) -> bytes:
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(told, ensure_ascii=False)}\n\n".encode(errors="replace")
