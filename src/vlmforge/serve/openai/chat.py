"""Chat completions: a conversation goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from vlmforge.decode.generate import Generation, Options, Step
from vlmforge.serve.answer import Answer
from vlmforge.serve.openai.answers import Answers, OnEnd, OnStep
from vlmforge.serve.openai.chat_request import ChatRequest
from vlmforge.serve.openai.events import Event
from vlmforge.serve.openai.failure import Failure
from vlmforge.serve.openai.logprobs import chat_logprobs
from vlmforge.serve.openai.service import Service
from vlmforge.serve.openai.talk import shown
from vlmforge.serve.openai.tools import CallReader, ToolCall, takes_marks
from vlmforge.serve.openai.usage import Tally, Usage


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
        asks = [partial(self._submit, index) for index in range(asked.answers)]
        self.answers = Answers(asks, service.metrics)

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
        opening = self._service.opening("chat.completion.chunk", "chatcmpl")
        tally = Tally(self._asked.answers)
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

    def _submit(self, index: int, on_step: OnStep, on_end: OnEnd) -> Answer:
        """Submit the request; images are read for each answer, which costs little beside it."""
        messages = shown(self._asked.messages, self._service.media, self._sees)
        offered = self._asked.tools or [] if self._asked.calls else []
        return self._service.engine.submit(
            messages,
            self._options(index),
            on_step,
            tools=[tool.shown() for tool in offered],
            on_end=on_end,
        )

    def _options(self, index: int) -> Options:
        asked, session = self._asked, self._service.session
        return asked.options(
            session.suggested,
            asked.max_completion_tokens or asked.max_tokens or session.max_length,
            index,
            logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
            grammar=self._grammar,
        )

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
