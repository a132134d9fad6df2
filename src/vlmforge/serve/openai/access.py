"""Access: who may ask, and how much a request may bring. Middlewares of ASGI."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vlmforge.errors import BusyError
from vlmforge.serve.openai.failure import Failure
from vlmforge.serve.openai.service import Service

GUARDED = "/v1/"
"""Routes below it need a key, where there are keys."""

TOGETHER = 8
"""Bodies of the largest size that are held at once."""

BODY_SECONDS = 30.0
"""Between two pieces of a request's body."""


class Keys:
    """Refuses requests without one of the keys.

    Args:
        app: what is guarded.
        keys: texts; without any, everybody may ask.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str]) -> None:
        self._app, self._keys = app, [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "http" and scope["path"].startswith(GUARDED)
        if guarded and self._keys and not self._has_key(Headers(scope=scope)):
            said = "the API key is missing or wrong: send the header Authorization: Bearer KEY"
            headers = {"WWW-Authenticate": "Bearer"}
            failure = Failure(401, said, code="invalid_api_key", headers=headers)
            await refused(failure)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = given.strip().encode()
        found = [hmac.compare_digest(key, each) for each in self._keys]
        return scheme.lower() == "bearer" and any(found)


class Hosts:
    """Refuses requests that name another host, as pages do whose name was made to point here.

    A name of a server on the loopback interface is ``localhost`` or an address; see DNS rebinding.

    Args:
        app: what is guarded.
        names: further hosts that are this one.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app, self._names = app, {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_own(Headers(scope=scope).get("host", "")):
            said = "this server is not known by that name: ask it by its address"
            await refused(Failure(403, said, code="wrong_host"))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._names
        return True


class Bodies:
    """Refuses bodies that are too large, or do not come, or would hold too much memory together.

    Args:
        app: what is guarded.
        most: bytes of a body; all requests that are being answered have :data:`TOGETHER` times as
            many.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or int(length) > self._most:
            await refused(self._too_large())(scope, receive, send)
            return
        body = _Body(receive, self._take)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._held -= body.size

    def _take(self, before: int, count: int) -> None:
        """Let a body of ``before`` bytes have ``count`` more, or raise :class:`Failure`."""
        if before + count > self._most:
            raise self._too_large()
        if self._held + count > TOGETHER * self._most:
            raise Failure.of(BusyError("the requests hold too much memory", mend="try again later"))
        self._held += count

    def _too_large(self) -> Failure:
        said = f"the request has more than {self._most >> 20} MB"
        return Failure(413, said, code="request_too_large")


class _Body:
    """Receives one request, as far as it may have more."""

    def __init__(self, receive: Receive, take: Callable[[int, int], None]) -> None:
        self._receive, self._take = receive, take
        self.size, self._complete = 0, False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_SECONDS)
        except asyncio.TimeoutError as error:
            raise Failure(408, "the request's body did not come in time") from error
        count = len(message.get("body", b""))
        self._take(self.size, count)
        self.size += count
        self._complete = not message.get("more_body", False)
        return message


def refused(failure: Failure) -> JSONResponse:
    """The response that tells a failure."""
    return JSONResponse(failure.body, failure.status_code, failure.headers)


class Counted:
    """Counts requests by route and status.

    Args:
        app: what answers.
        service: whose metrics count.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._requests = app, service.metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._requests.labels(path, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted)
