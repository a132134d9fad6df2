"""Usage: how many tokens a request took."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from vlmforge.decode.generate import Step
from vlmforge.decode.prompt_read import PromptRead


class PromptDetails(BaseModel):
    """Of the tokens of prompts, those that were not run again."""

    cached_tokens: int = 0


class Usage(BaseModel):
    """Tokens read and generated; a prompt counts once, however many answers it has."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails = PromptDetails()

    @staticmethod
    def of(prompts: Sequence[PromptRead | None], generated: int) -> Usage:
        """That of the prompts of a request, each read once, and of all tokens of its answers."""
        read = [prompt for prompt in prompts if prompt is not None]
        tokens = sum(prompt.tokens for prompt in read)
        return Usage(
            prompt_tokens=tokens,
            completion_tokens=generated,
            total_tokens=tokens + generated,
            prompt_tokens_details=PromptDetails(cached_tokens=sum(each.cached for each in read)),
        )


class Tally:
    """Counts the tokens of a stream.

    Args:
        answers: of each prompt.
    """

    def __init__(self, answers: int) -> None:
        self._answers, self._generated = answers, 0
        self._prompts: dict[int, PromptRead] = {}

    def add(self, index: int, step: Step) -> None:
        """Take note of a step of an answer."""
        self._generated += 1
        if step.prompt is not None and index % self._answers == 0:
            self._prompts[index] = step.prompt

    @property
    def usage(self) -> Usage:
        """Of all so far."""
        return Usage.of([*self._prompts.values()], self._generated)
