"""Failure: what a client is told when a request is not answered."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel

from vlmforge.errors import (
    BusyError,
    ClosedError,
    ImageError,
    LengthError,
    VlmforgeError,
)

RETRY_SECONDS = 1
"""When to try again, where nothing better is known."""


class ErrorObject(BaseModel):
    """What is wrong, as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of an answer that tells an error."""

    error: ErrorObject


class Failure(HTTPException):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: what is wrong, and how to mend it.
        param: the field of the request.
        code: for programs.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.error = ErrorObject(message=message, type=_kind(status), param=param, code=code)

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        return ErrorBody(error=self.error).model_dump()

    @staticmethod
    def of(error: Exception) -> Failure:
        """What a client is told of an error; of one that is not its own, nothing."""
        if isinstance(error, Failure):
            return error
        if isinstance(error, BusyError):
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return Failure(429, _words(error), code="too_many_requests", headers=headers)
        if isinstance(error, ClosedError):
            return Failure(503, "the server is shutting down", code="shutting_down")
        if isinstance(error, LengthError):
            return Failure(400, _words(error), param="messages", code="context_length_exceeded")
        if isinstance(error, ImageError):
            return Failure(400, _words(error), param="messages", code="invalid_image")
        if isinstance(error, VlmforgeError):
            return Failure(400, _words(error))
        return Failure(500, "the server has failed; its log tells more", code="internal_error")


def _words(error: VlmforgeError) -> str:
    """What is wrong and how to mend it, without the names of the server's files."""
    return error.what if error.mend is None else f"{error.what} ({error.mend})"


def _kind(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
