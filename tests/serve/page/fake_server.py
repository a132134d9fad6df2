"""A small OpenAI-compatible server for the page: it says what it is told to, and remembers."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vlmforge.serve.page import HEADERS, files

MODELS = ("scenes-qwen2-vl", "scenes-qwen3-vl")
LONGEST_HOLD = 30  # seconds after which a held answer goes on by itself


@dataclass(frozen=True)
class Reply:
    """An answer, piece by piece.

    Attributes:
        pieces: of the text, one an event.
        hold_after: after so many pieces it waits for :meth:`FakeServer.release`.
        finish: the reason it ends; None if the connection ends first.
        error: what it says in an event, in place of an end.
    """

    pieces: Sequence[str]
    hold_after: int | None = None
    finish: str | None = "stop"
    error: str | None = None


@dataclass(frozen=True)
class Refusal:
    """An answer that is not given."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def saying(status: int, message: str, **headers: str) -> Refusal:
        """As OpenAI's API has it."""
        body = json.dumps({"error": {"message": message, "type": "error", "code": None}})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Refusal(status, body, named)


class FakeServer(ThreadingHTTPServer):
    """Serves the page and its API on a free port of this computer.

    Attributes:
        key: what it asks for, None for nothing.
        requests: the body of every question, in order.
        abandoned: set once a client has gone before its answer was complete.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key: str | None = None
        self.requests: list[dict[str, Any]] = []
        self.abandoned = threading.Event()
        self.page = {file.route: file for file in files()}
        self._replies: deque[Reply | Refusal] = deque()
        self._released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, *replies: Reply | Refusal | str) -> None:
        """The next answers, in order; a text is an answer of one piece."""
        self._released.clear()
        made = (Reply([each]) if isinstance(each, str) else each for each in replies)
        self._replies.extend(made)

    def release(self) -> None:
        """Let the answer that is held go on."""
        self._released.set()

    def next_reply(self) -> Reply | Refusal:
        return self._replies.popleft() if self._replies else Reply(["Yes."])

    def is_released(self, seconds: float) -> bool:
        return self._released.wait(seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.abandoned.set()  # the only error there is: the client is gone


@contextmanager
def serving() -> Iterator[FakeServer]:
    """A server that runs until the block ends."""
    server = FakeServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.release()
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            data = [{"id": name, "object": "model"} for name in MODELS]
            if self._admits():
                self._send(200, "application/json", json.dumps({"data": data}).encode())
        elif file := self.server.page.get(self.path):
            self._send(200, file.media_type, file.content, HEADERS)
        else:
            self._send(404, "text/plain", b"there is no such file")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admits():
            return
        self.server.requests.append(body)
        reply = self.server.next_reply()
        if isinstance(reply, Refusal):
            self._send(reply.status, "application/json", reply.body.encode(), reply.headers)
        else:
            self._stream(reply)

    def _admits(self) -> bool:
        key = self.server.key
        admitted = key is None or self.headers["Authorization"] == f"Bearer {key}"
        if not admitted:
            refusal = Refusal.saying(401, "Incorrect API key provided.")
            self._send(401, "application/json", refusal.body.encode())
        return admitted

    def _stream(self, reply: Reply) -> None:
        self._head(200, "text/event-stream", {})
        self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for place, piece in enumerate(reply.pieces):
            if place == reply.hold_after:
                self._hold()
            self._event({"choices": [{"index": 0, "delta": {"content": piece}}]})
        if reply.hold_after == len(reply.pieces):
            self._hold()
        if reply.error:
            self._event({"error": {"message": reply.error, "code": 500}})
        elif reply.finish:
            self._end(reply)

    def _end(self, reply: Reply) -> None:
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]})
        count = len(reply.pieces)
        usage = {"prompt_tokens": 40, "completion_tokens": count, "total_tokens": 40 + count}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _hold(self) -> None:
        for _ in range(LONGEST_HOLD * 20):
            if self.server.is_released(0.05):
                return
            self.wfile.write(b": waiting\n\n")  # a comment, which readers pass over

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    def _send(
        self, status: int, media_type: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, media_type, headers or {})
        self.wfile.write(content)

    def _head(self, status: int, media_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
