"""A client of a server that costs little itself: one connection for each request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Heard:
    """An answer as it came.

    Attributes:
        status: of HTTP.
        text: of the answer.
        finish: why it ended; None if it was left before.
        times: seconds from the request to each event with text.
        tokens: of the answer, as the server counts them.
        error: what the server said instead.
    """

    status: int = 0
    text: str = ""
    finish: str | None = None
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    error: str | None = None


async def ask(address: str, asked: dict[str, Any], leave_after: int | None = None) -> Heard:
    """Stream one chat completion; close the connection after so many pieces, if that is said."""
    heard, start = Heard(), time.perf_counter()
    body = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    try:
        writer.write(_request(parts.netloc, json.dumps(body).encode()))
        await writer.drain()
        heard.status = await _head(reader)
        if heard.status != 200:
            heard.error = (await reader.read()).decode(errors="replace")
            return heard
        async for event in _events(reader):
            _take(heard, event, time.perf_counter() - start)
            if leave_after is not None and len(heard.times) >= leave_after:
                return heard
    finally:
        writer.close()
    return heard


def _take(heard: Heard, event: dict[str, Any], seconds: float) -> None:
    if "error" in event:
        heard.error = event["error"]["message"]
        return
    for choice in event["choices"]:
        if text := choice["delta"].get("content"):
            heard.text += text
            heard.times.append(seconds)
        heard.finish = choice["finish_reason"] or heard.finish
    if event.get("usage"):
        heard.tokens = event["usage"]["completion_tokens"]


def _request(host: str, body: bytes) -> bytes:
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _head(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1])


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream; lines that chunks put between them are no events."""
    async for line in reader:
        if line.startswith(b"data: {"):
            yield json.loads(line[len(b"data: ") :])
