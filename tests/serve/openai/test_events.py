"""Streams: what ends them, and that nothing is left in the making."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from vlmforge.errors import RunError
from vlmforge.serve.openai.events import Event, EventStream

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


async def counted(count: int, error: Exception | None = None) -> AsyncIterator[Event]:
    for number in range(count):
        yield None, {"number": number}
    if error is not None:
        raise error


def sent(stream: EventStream, receive: Any) -> str:
    """What a client gets."""
    chunks: list[bytes] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        chunks.append(message.get("body", b""))

    asyncio.run(stream(SCOPE, receive, send))
    return b"".join(chunks).decode()


async def stays() -> Any:
    await asyncio.sleep(60)


async def goes() -> Any:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("receive", [stays, goes])
def test_what_is_left_is_told_once_however_it_ends(receive: Any) -> None:
    left: list[int] = []

    text = sent(EventStream(counted(2), lambda: left.append(1)), receive)

    assert left == [1]
    if receive is stays:
        assert text == 'data: {"number": 0}\n\ndata: {"number": 1}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("error", "said"), [(RunError("it fails"), "it fails"), (ValueError("secret"), "its log")]
)
def test_an_error_is_the_last_event(error: Exception, said: str) -> None:
    text = sent(EventStream(counted(1, error), lambda: None), stays)

    *_, last, done, _ = text.split("\n\n")
    assert said in last and '"error"' in last and "secret" not in text and done == "data: [DONE]"
    named = sent(EventStream(counted(0, error), lambda: None, done=False), stays)
    assert named.startswith("event: error\n") and "[DONE]" not in named
