"""Text completions: a text goes on, without a chat template."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from pydantic import Field, model_validator

from vlmforge.decode.generate import Generation, Step
from vlmforge.decode.log_probabilities import MOST, LogProbabilities
from vlmforge.serve.answer import Answer
from vlmforge.serve.openai.answers import Answers, OnEnd, OnStep
from vlmforge.serve.openai.events import Event
from vlmforge.serve.openai.fields import MOST_ANSWERS, Asking
from vlmforge.serve.openai.logprobs import text_logprobs
from vlmforge.serve.openai.service import Service
from vlmforge.serve.openai.usage import Tally, Usage

MOST_TOKENS = 1 << 20
"""Of a prompt that is given as tokens."""

Token = Annotated[int, Field(ge=0, lt=1 << 31)]
Tokens = Annotated[list[Token], Field(min_length=1, max_length=MOST_TOKENS)]

USUAL = 16
"""Tokens of an answer where the request says nothing, as OpenAI has it."""


class TextRequest(Asking):
    """A request for text completions."""

    prompt: (
        str
        | Tokens
        | Annotated[list[str], Field(min_length=1, max_length=MOST_ANSWERS)]
        | Annotated[list[Tokens], Field(min_length=1, max_length=MOST_ANSWERS)]
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST)] | None = None
    best_of: int | None = None
    suffix: None = None

    @model_validator(mode="after")
    def _agree(self) -> TextRequest:
        if self.best_of not in (None, self.answers):
            raise ValueError("best_of must be n: answers are not ranked")
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens is 0, so there would be no answer; echo shows the prompt")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        """One or several."""
        if isinstance(self.prompt, str) or isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)

    @property
    def limit(self) -> int:
        """Most tokens of an answer; it takes one to read a prompt."""
        return 1 if self.max_tokens == 0 else self.max_tokens or USUAL


class TextCompletion:
    """The answers to one request.

    Args:
        service: what is served.
        asked: the request.

    Raises:
        Failure: it asks for what is not there.
    """

    def __init__(self, service: Service, asked: TextRequest) -> None:
        service.require(asked.model)
        self._service, self._asked = service, asked
        count = len(asked.prompts) * asked.answers
        asks = [partial(self._submit, index) for index in range(count)]
        self.answers = Answers(asks, service.metrics)

    async def whole(self) -> dict[str, Any]:
        """The response, once all answers have ended."""
        found = await self.answers.finished()
        shown = 0 if self._asked.max_tokens == 0 else sum(len(each.token_ids) for each in found)
        prompts = [each.prompt for each in found[:: self._asked.answers]]
        return {
            **self._service.opening("text_completion", "cmpl"),
            "choices": [self._choice(index, each) for index, each in enumerate(found)],
            "usage": Usage.of(prompts, shown).model_dump(),
        }

    async def events(self) -> AsyncIterator[Event]:
        """The response piece by piece."""
        opening = self._service.opening("text_completion", "cmpl")
        tally = Tally(self._asked.answers)
        usage = {"usage": None} if self._asked.tells_usage else {}
        offsets = [0] * (len(self._asked.prompts) * self._asked.answers)
        async for index, step in self.answers:
            tally.add(index, step)
            part = Generation.of([step], step.finish or "stop")
            choice = self._choice(index, part, step, offsets[index])
            offsets[index] += len(choice["text"])
            yield None, {**opening, "choices": [choice], **usage}
        if self._asked.tells_usage:
            yield None, {**opening, "choices": [], "usage": tally.usage.model_dump()}

    def _submit(self, index: int, on_step: OnStep, on_end: OnEnd) -> Answer:
        asked, engine = self._asked, self._service.engine
        options = asked.options(
            self._service.session.suggested,
            asked.limit,
            index % asked.answers,
            logprobs=asked.logprobs,
            prompt_logprobs=asked.logprobs if asked.echo else None,
        )
        prompt = asked.prompts[index // asked.answers]
        return engine.submit_text(prompt, options, on_step, on_end=on_end)

    def _choice(
        self, index: int, found: Generation, step: Step | None = None, offset: int = 0
    ) -> dict[str, Any]:
        """An answer, or a step of one.

        Args:
            index: of the answer.
            found: it, or what the step alone amounts to.
            step: the step, if it is one.
            offset: characters of the answer before it.
        """
        read = self._prompt(index) if self._asked.echo and found.prompt is not None else []
        text = self._shown(index) if read else ""
        told: list[tuple[int, LogProbabilities | None]]
        told = list(zip(found.token_ids, found.logprobs, strict=False))
        finish: str | None = found.finish if step is None else step.finish
        if self._asked.max_tokens == 0:
            found_text, told, finish = "", [], finish and "length"
        else:
            found_text = found.text
        if read and found.prompt is not None:
            told = [*zip(read, [None, *found.prompt.logprobs], strict=False), *told]
        named = self._asked.logprobs is not None
        return {
            "index": index,
            "text": text + found_text,
            "logprobs": text_logprobs(self._service, told, offset) if named else None,
            "finish_reason": finish,
        }

    def _prompt(self, index: int) -> list[int]:
        """The tokens of an answer's prompt."""
        prompt = self._asked.prompts[index // self._asked.answers]
        if isinstance(prompt, str):
            return self._service.session.prompts.encode_text(prompt).tolist()
        return prompt

    def _shown(self, index: int) -> str:
        """The text of an answer's prompt."""
        prompt = self._asked.prompts[index // self._asked.answers]
        if isinstance(prompt, str):
            return prompt
        return b"".join(map(self._service.spelled, prompt)).decode(errors="replace")
