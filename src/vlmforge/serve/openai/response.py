"""Responses: OpenAI's newer interface, as far as it needs no memory of earlier answers."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from vlmforge.decode.generate import Generation, Step
from vlmforge.serve.openai.answers import Answers
from vlmforge.serve.openai.chat import ChatCompletion
from vlmforge.serve.openai.events import Event
from vlmforge.serve.openai.response_request import ResponseRequest
from vlmforge.serve.openai.service import Service
from vlmforge.serve.openai.tools import ToolCall


class Response:
    """The response to one request.

    Args:
        service: what is served.
        asked: the request.

    Raises:
        Failure: it asks for what is not there.
        RequestValidationError: its parts do not agree.
    """

    def __init__(self, service: Service, asked: ResponseRequest) -> None:
        try:
            self._chat = ChatCompletion(service, asked.chat())
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        self._asked, self._service = asked, service
        self._id, self._created = f"resp_{secrets.token_hex(12)}", int(time.time())

    @property
    def answers(self) -> Answers:
        """The one answer."""
        return self._chat.answers

    async def whole(self) -> dict[str, Any]:
        """The response, once the answer has ended."""
        (found,) = await self.answers.finished()
        text, calls = self._chat.parted(found.text)
        return self._ended(found, _output(text, calls, secrets.token_hex(12)))

    async def events(self) -> AsyncIterator[Event]:
        """The response piece by piece."""
        numbers, part = count(), _TextPart()
        steps: list[Step] = []
        reader = self._chat.reader()

        def event(kind: str, /, **told: Any) -> Event:
            return kind, {"type": kind, "sequence_number": next(numbers), **told}

        beginning = self._body("in_progress", [])
        yield event("response.created", response=beginning)
        yield event("response.in_progress", response=beginning)
        calls: list[ToolCall] = []
        async for _, step in self.answers:
            steps.append(step)
            text = step.text if reader is None else reader.push(step.text)
            if step.finish is not None and reader is not None:
                rest, calls = reader.finish()
                text += rest
            for name, told in part.grown(text) if text else ():
                yield event(name, **told)
        if not calls or part.text:
            for name, told in [*part.grown(""), *part.ended()]:
                yield event(name, **told)
        output = part.items + [_call(call) for call in calls]
        for index, item in enumerate(output[len(part.items) :], len(part.items)):
            for name, told in _call_events(index, item):
                yield event(name, **told)
        found = Generation.of(steps, steps[-1].finish or "cancelled")
        body = self._ended(found, output)
        yield event(f"response.{body['status']}", response=body)

    def _ended(self, found: Generation, output: list[dict[str, Any]]) -> dict[str, Any]:
        read = found.prompt
        tokens, cached = (read.tokens, read.cached) if read else (0, 0)
        generated = len(found.token_ids)
        body = self._body("incomplete" if found.finish == "length" else "completed", output)
        usage = {
            "input_tokens": tokens,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": generated,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens + generated,
        }
        return body | {"usage": usage}

    def _body(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        asked = self._asked
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        given = asked.model_dump(include={"instructions", "temperature", "top_p", "metadata"})
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": reason,
            "model": self._service.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "text": {"format": {"type": "text"}} if asked.text is None else _dumped(asked.text),
            "tool_choice": "auto" if asked.tool_choice is None else _dumped(asked.tool_choice),
            "tools": [_dumped(tool) for tool in asked.tools or []],
            "truncation": "disabled",
            "usage": None,
            **given,
        }


class _TextPart:
    """The text of an answer, told as the one part of the one message that it is."""

    def __init__(self) -> None:
        self.text, self.items = "", list[dict[str, Any]]()
        self._id = secrets.token_hex(12)
        self._begun = False

    def grown(self, text: str) -> list[tuple[str, dict[str, Any]]]:
        """The events of further text, and of the beginning."""
        told: list[tuple[str, dict[str, Any]]] = []
        place = self._place()
        if not self._begun:
            self._begun = True
            item = _message("", self._id, "in_progress") | {"content": []}
            told.append(("response.output_item.added", {"output_index": 0, "item": item}))
            told.append(("response.content_part.added", {**place, "part": _text("")}))
        if text:
            told.append(("response.output_text.delta", {**place, "delta": text, "logprobs": []}))
        self.text += text
        return told

    def ended(self) -> list[tuple[str, dict[str, Any]]]:
        """The events of the end."""
        self.items = [_message(self.text, self._id)]
        done = {**self._place(), "text": self.text, "logprobs": []}
        return [
            ("response.output_text.done", done),
            ("response.content_part.done", {**self._place(), "part": _text(self.text)}),
            ("response.output_item.done", {"output_index": 0, "item": self.items[0]}),
        ]

    def _place(self) -> dict[str, Any]:
        return {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}


def _output(text: str, calls: list[ToolCall], name: str) -> list[dict[str, Any]]:
    shown = [_message(text, name)] if text.strip() or not calls else []
    return shown + [_call(call) for call in calls]


def _message(text: str, name: str, status: str = "completed") -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{name}",
        "status": status,
        "role": "assistant",
        "content": [_text(text)],
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{secrets.token_hex(12)}",
        "call_id": call.id,
        "name": call.function.name,
        "arguments": call.function.arguments,
        "status": "completed",
    }


def _call_events(index: int, item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    begun = item | {"arguments": "", "status": "in_progress"}
    place = {"item_id": item["id"], "output_index": index}
    told = place | {"arguments": item["arguments"], "name": item["name"]}
    return [
        ("response.output_item.added", {"output_index": index, "item": begun}),
        ("response.function_call_arguments.delta", place | {"delta": item["arguments"]}),
        ("response.function_call_arguments.done", told),
        ("response.output_item.done", {"output_index": index, "item": item}),
    ]


def _dumped(value: Any) -> Any:
    return value if isinstance(value, str) else value.model_dump(by_alias=True, exclude_none=True)
