"""Chat completions: a conversation goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vlmforge.decode.generate import Generation, Options, Step
from vlmforge.decode.grammar import Grammar
from vlmforge.serve.openai.answers import Answers, Ask
from vlmforge.serve.openai.events import Event
from vlmforge.serve.openai.failure import Failure
from vlmforge.serve.openai.fields import Asking, Fields
from vlmforge.serve.openai.logprobs import chat_logprobs
from vlmforge.serve.openai.service import Service
from vlmforge.serve.openai.talk import ChatMessage, shown
from vlmforge.serve.openai.tools import (
    CallReader,
    FunctionChoice,
    FunctionTool,
    ToolCall,
    ToolChoice,
    required,
    takes_marks,
)
from vlmforge.serve.openai.usage import Tally, Usage

MOST_TOP = 20
"""Alternatives of a token, as OpenAI has it."""


class NamedSchema(Fields):
    """A JSON schema with its name."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema", default_factory=dict)]
    strict: bool | None = None


class ResponseFormat(Fields):
    """Which texts an answer may be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type json_schema needs the field json_schema")
        return self

    @property
    def grammar(self) -> Grammar | None:
        """That of the texts, None for any."""
        if self.type == "json_object":
            return Grammar.json_object()
        return Grammar.json_schema(self.json_schema.schema_) if self.json_schema else None


class ChatRequest(Asking):
    """A request for chat completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _agree(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        if not self.tools and self.tool_choice not in (None, "none", "auto"):
            raise ValueError("tool_choice needs tools")
        return self

    @property
    def calls(self) -> bool:
        """Whether answers may call tools."""
        return bool(self.tools) and self.tool_choice != "none"

    def grammar(self, marked: bool) -> Grammar | None:
        """That of the answers; raises ValueError for the choice of a tool that is not there."""
        if self.calls and self.tool_choice not in (None, "auto"):
            chosen = self.tool_choice
            name = chosen.function.name if isinstance(chosen, FunctionChoice) else None
            return required(self.tools or [], name, marked)
        return None if self.response_format is None else self.response_format.grammar


class ChatCompletion:
    """The answers to one request.

    Args:
        service: what is served.
        asked: the request.

    Raises:
        Failure: it asks for what is not there.
    """

    def __init__(self, service: Service, asked: ChatRequest) -> None:
        service.require(asked.model)
        self._service, self._asked = service, asked
        self._marked = takes_marks(service.session.prompts.template.literals)
        try:
            self._grammar = asked.grammar(self._marked)
        except ValueError as error:
            raise Failure(400, str(error), param="tool_choice") from error
        self.answers = Answers([self._ask(i) for i in range(asked.answers)], service.metrics)

    async def whole(self) -> dict[str, Any]:
        """The response, once all answers have ended."""
        found = await self.answers.finished()
        generated = sum(len(each.token_ids) for each in found)
        return {
            **self._service.opening("chat.completion", "chatcmpl"),
            "choices": [self._choice(index, each) for index, each in enumerate(found)],
            "usage": Usage.of([found[0].prompt], generated).model_dump(),
        }

    async def events(self) -> AsyncIterator[Event]:
        """The response piece by piece."""
        opening, tally = self._service.opening("chat.completion.chunk", "chatcmpl"), Tally(16)
        usage = {"usage": None} if self._asked.tells_usage else {}
        readers = [self.reader() for _ in range(self._asked.answers)]
        for index in range(len(readers)):
            role = {"role": "assistant", "content": ""}
            yield None, {**opening, "choices": [_delta(index, role)], **usage}
        async for index, step in self.answers:
            tally.add(index, step)
            for choice in self._deltas(index, step, readers[index]):
                yield None, {**opening, "choices": [choice], **usage}
        if self._asked.tells_usage:
            yield None, {**opening, "choices": [], "usage": tally.usage.model_dump()}

    def _ask(self, index: int) -> Ask:
        """What submits the request; images are read for each answer, which cost little beside."""
        asked, session = self._asked, self._service.session
        limit = asked.max_completion_tokens or asked.max_tokens or session.max_length
        named = (asked.top_logprobs or 0) if asked.logprobs else None
        make = partial(asked.options, session.suggested, limit, index, logprobs=named)
        return partial(self._submit, make)

    def _submit(self, make: Any, on_step: Any, on_end: Any) -> Any:
        options: Options = make(grammar=self._grammar)
        messages = shown(self._asked.messages, self._service.media, self._sees)
        offered = self._asked.tools or [] if self._asked.calls else []
        tools = [tool.shown() for tool in offered]
        return self._service.engine.submit(messages, options, on_step, tools=tools, on_end=on_end)

    @property
    def _sees(self) -> bool:
        return self._service.session.preprocess is not None

    def reader(self) -> CallReader | None:
        """What finds calls in an answer, if it may have any."""
        return CallReader(self._marked) if self._asked.calls else None

    def parted(self, text: str) -> tuple[str, list[ToolCall]]:
        """A whole answer's text and its calls."""
        reader = self.reader()
        if reader is None:
            return text, []
        before = reader.push(text)
        rest, calls = reader.finish()
        return before + rest, calls

    def _choice(self, index: int, found: Generation) -> dict[str, Any]:
        text, calls = self.parted(found.text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message["content"] = text.strip() or None
            message["tool_calls"] = [call.model_dump() for call in calls]
        told = list(zip(found.token_ids, found.logprobs, strict=False))
        return {
            "index": index,
            "message": message,
            "logprobs": chat_logprobs(self._service, told) if self._asked.logprobs else None,
            "finish_reason": "tool_calls" if calls else found.finish,
        }

    def _deltas(self, index: int, step: Step, reader: CallReader | None) -> list[dict[str, Any]]:
        """What a step adds to a stream: text, and at the end the calls and why it ended."""
        text, calls = step.text if reader is None else reader.push(step.text), list[ToolCall]()
        if step.finish is not None and reader is not None:
            rest, calls = reader.finish()
            text += rest
        told = None
        if step.logprobs is not None:
            told = chat_logprobs(self._service, [(step.token_id, step.logprobs)])
        deltas = [_delta(index, {"content": text}, told)] if text or told else []
        for number, call in enumerate(calls):
            deltas.append(_delta(index, {"tool_calls": [{"index": number, **call.model_dump()}]}))
        if step.finish is not None:
            deltas.append(_delta(index, {}, None, "tool_calls" if calls else step.finish))
        return deltas


def _delta(
    index: int,
    delta: dict[str, Any],
    logprobs: dict[str, Any] | None = None,
    finish: str | None = None,
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
