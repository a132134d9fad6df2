"""Connection: whether a client still waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from vlmforge.serve.openai.answers import Answers
from vlmforge.serve.openai.failure import Failure

Found = TypeVar("Found")


async def while_connected(
    request: Request, answers: Answers, work: Coroutine[Any, Any, Found]
) -> Found:
    """What some work gives, unless the client goes away before: then the answers are left.

    Raises:
        Failure: the client has gone.
    """
    done, gone = asyncio.ensure_future(work), asyncio.ensure_future(left(request.receive))
    try:
        await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        raise Failure(499, "the client has gone")
    finally:
        gone.cancel()
        done.cancel()
        answers.leave()


async def left(receive: Receive) -> None:
    """Returns when the client has closed the connection; its request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
