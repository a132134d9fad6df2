"""Events: an answer sent piece by piece (server-sent events of the HTML standard)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vlmforge.errors import VlmforgeError
from vlmforge.serve.openai.connection import left
from vlmforge.serve.openai.failure import Failure

Event = tuple[str | None, Mapping[str, Any]]
"""A name, or none, and what is told."""

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

log = logging.getLogger("vlmforge.serve")


class EventStream(Response):
    """A response of events.

    Args:
        events: what is told. What it raises is told as the last event.
        leave: called at the end, whether or not all has been told, or anything.
        done: whether the end is marked by ``[DONE]``.
    """

    def __init__(
        self, events: AsyncIterator[Event], leave: Callable[[], None], *, done: bool = True
    ) -> None:
        super().__init__(headers=HEADERS, media_type="text/event-stream")
        del self.headers["content-length"]
        self._events, self._leave, self._done = events, leave, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell all, unless the client goes away before."""
        told, gone = asyncio.ensure_future(self._tell(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                told.result()
        finally:
            told.cancel()
            gone.cancel()
            self._leave()

    async def _tell(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        try:
            async for name, told in self._events:
                await send(_body(_line(name, told)))
        except Exception as error:
            if not isinstance(error, VlmforgeError):
                log.exception("an answer has failed")
            told = Failure.of(error).body
            await send(_body(_line("error" if not self._done else None, told)))
        end = b"data: [DONE]\n\n" if self._done else b""
        await send(_body(end) | {"more_body": False})


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _line(name: str | None, told: Mapping[str, Any]) -> bytes:
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(told, ensure_ascii=False)}\n\n".encode(errors="replace")
