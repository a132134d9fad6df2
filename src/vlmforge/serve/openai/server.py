"""Server: the application at an address, until it is ended."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from vlmforge.errors import SystemFailure
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine
from vlmforge.serve.openai.app import Guard, application
from vlmforge.serve.openai.media import Media
from vlmforge.serve.openai.metrics import Metrics
from vlmforge.serve.openai.remote import Remote
from vlmforge.serve.openai.service import Service

IDLE_SECONDS = 75
"""That a connection is kept without a request."""

BACKLOG = 1024
"""Connections that wait to be taken."""


@dataclass(frozen=True)
class Serving:
    """How a package is served.

    Attributes:
        host, port: to listen at; port 0 takes a free one.
        model: its name, that of the original model by default.
        keys: that clients need, none without any.
        max_running, max_waiting: of the engine.
        most_bytes: of a request.
        image_root: below which requests may name files; none may be without.
        remote: whether images are fetched from elsewhere.
        drain_seconds: for answers in the making when the server is ended.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: str | None = None
    keys: Collection[str] = ()
    max_running: int | None = None
    max_waiting: int = 128
    most_bytes: int = 64 << 20
    image_root: Path | None = None
    remote: bool = False
    drain_seconds: int = 60

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches the server."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def guard(self) -> Guard:
        """Whom and what the server lets in."""
        return Guard(self.keys, () if self.is_local else None, self.most_bytes)

    def service(self, session: Session) -> Service:
        """What is served: an engine of its own."""
        engine = Engine(session, self.max_running, max_waiting=self.max_waiting)
        media = Media(self.image_root, Remote() if self.remote else None)
        name = self.model or str(session.package.text.meta.get("model", "vlmforge"))
        return Service(engine, media, name, Metrics(engine))


def run(session: Session, serving: Serving, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, and then until answers in the making have ended.

    Args:
        session: the package.
        serving: how.
        tell: receives where, once requests are taken.

    Raises:
        SystemFailure: the address cannot be listened at.
    """
    listening = _listen(serving)
    app = application(serving.service(session), serving.guard)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=serving.drain_seconds,
        backlog=BACKLOG,
        server_header=False,
    )
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    tell(f"serving {app.state.service.model} at http://{host}:{listening.getsockname()[1]}")
    if not serving.is_local and not serving.keys:
        tell("everybody who reaches this address may ask: see --api-key-file")
    server = uvicorn.Server(config)
    try:
        server.run([listening])
    except (KeyboardInterrupt, SystemExit):  # the signal, passed on when all answers have ended
        if not server.started:
            raise


def _listen(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    try:
        return socket.create_server(
            (serving.host, serving.port), family=family, backlog=BACKLOG, reuse_port=False
        )
    except OSError as error:
        raise SystemFailure(
            f"the address cannot be listened at: {error.strerror or error}",
            where=f"{serving.host}:{serving.port}",
            mend="choose another --host or --port",
        ) from error
