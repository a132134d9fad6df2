"""The application: routes, and what stands before them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from vlmforge import __version__
from vlmforge.errors import VlmforgeError
from vlmforge.serve import page
from vlmforge.serve.openai.access import Bodies, Counted, Hosts, Keys, refused
from vlmforge.serve.openai.chat import ChatCompletion
from vlmforge.serve.openai.chat_request import ChatRequest
from vlmforge.serve.openai.connection import while_connected
from vlmforge.serve.openai.events import EventStream
from vlmforge.serve.openai.failure import ErrorBody, Failure
from vlmforge.serve.openai.response import Response as ModelResponse
from vlmforge.serve.openai.response_request import ResponseRequest
from vlmforge.serve.openai.service import Service
from vlmforge.serve.openai.text import TextCompletion, TextRequest

MEGABYTE = 1 << 20

log = logging.getLogger("vlmforge.serve")

TOLD: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 429, 503)
}
"""Errors that any route below ``/v1`` may tell."""


@dataclass(frozen=True)
class Guard:
    """Whom and what a server lets in.

    Attributes:
        keys: one of which a request must have; none is needed without any.
        hosts: names of the server besides ``localhost``; None for any.
        most_bytes: of a request.
    """

    keys: Collection[str] = ()
    hosts: Collection[str] | None = None
    most_bytes: int = 64 * MEGABYTE


def application(service: Service, guard: Guard | None = None) -> FastAPI:
    """What a server runs; when it ends, the engine finishes its answers.

    Args:
        service: what is served.
        guard: by default everybody may ask.
    """
    guard = guard or Guard()
    app = FastAPI(
        title="vlmforge",
        version=__version__,
        lifespan=_lifespan(service),
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    _add_models(app, service)
    _add_completions(app, service)
    _add_health(app, service)
    _add_page(app)
    _add_failures(app)
    app.add_middleware(Bodies, most=guard.most_bytes)
    app.add_middleware(Keys, keys=guard.keys)
    if guard.hosts is not None:
        app.add_middleware(Hosts, names=guard.hosts)
    app.add_middleware(Counted, service=service)
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.engine.close()

    return lifespan


def _add_models(app: FastAPI, service: Service) -> None:
    described = {
        "id": service.model,
        "object": "model",
        "created": service.started,
        "owned_by": "vlmforge",
        "max_model_len": service.session.max_length,
    }

    @app.get("/v1/models", responses=TOLD)
    async def models() -> dict[str, Any]:
        """The one model that is served."""
        return {"object": "list", "data": [described]}

    @app.get("/v1/models/{name:path}", responses=TOLD)
    async def model(name: str) -> dict[str, Any]:
        """The model of that name."""
        service.require(name)
        return described


def _add_completions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", responses=TOLD)
    async def chat(request: Request, asked: ChatRequest) -> Response:
        """Answer a conversation, with images and videos if the model sees."""
        return await _answer(request, ChatCompletion(service, asked), bool(asked.stream))

    @app.post("/v1/completions", responses=TOLD)
    async def text(request: Request, asked: TextRequest) -> Response:
        """Go on with a text."""
        return await _answer(request, TextCompletion(service, asked), bool(asked.stream))

    @app.post("/v1/responses", responses=TOLD)
    async def response(request: Request, asked: ResponseRequest) -> Response:
        """Answer a conversation, of which nothing is kept."""
        return await _answer(request, ModelResponse(service, asked), bool(asked.stream))


async def _answer(
    request: Request, completion: ChatCompletion | TextCompletion | ModelResponse, streams: bool
) -> Response:
    """The whole response, or its stream; what is wrong with the request shows before either."""
    await completion.answers.ask(streams)
    if streams:
        done = not isinstance(completion, ModelResponse)
        return EventStream(completion.events(), completion.answers.leave, done=done)
    return JSONResponse(await while_connected(request, completion.answers, completion.whole()))


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the server runs."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"model": ErrorBody}})
    async def ready() -> dict[str, str]:
        """Whether requests are taken."""
        if service.engine.closed:
            raise Failure(503, "the server is shutting down", code="shutting_down")
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    """The page that people chat with, which needs no key to be loaded."""
    for file in page.files():
        app.add_route(file.route, _file(file), methods=["GET"], include_in_schema=False)


def _file(file: page.PageFile) -> Callable[[Request], Awaitable[Response]]:
    async def sent(request: Request) -> Response:
        return Response(file.content, media_type=file.media_type, headers=page.HEADERS)

    return sent


def _add_failures(app: FastAPI) -> None:
    async def told(request: Request, error: Exception) -> Response:
        return refused(Failure.of(error))

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        deepest = max(
            error.errors(), key=lambda each: len(each["loc"])
        )  # of a union, what was meant
        names = [str(name) for name in deepest["loc"][1:]]
        field = ".".join(name for name in names if name.isidentifier() or name.isdigit())
        where = f"{field}: " if field else ""
        return refused(Failure(400, f"{where}{deepest['msg']}", param=field or None))

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        failure = Failure(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        return refused(failure)

    async def failed(request: Request, error: Exception) -> Response:
        log.error("a request has failed", exc_info=error)
        return refused(Failure.of(error))

    app.add_exception_handler(Failure, told)
    app.add_exception_handler(VlmforgeError, told)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(Exception, failed)
