"""Generation: one token after another, as text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from vlmforge.errors import RunError
from vlmforge.run.context import Context, Inputs
from vlmforge.run.sampling import Sampler, Sampling
from vlmforge.run.stream import TextStream

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Options:
    """How an answer is generated.

    Attributes:
        max_new_tokens: most tokens generated, the stop token included.
        sampling: how each is chosen; greedy by default.
    """

    max_new_tokens: int = 512
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RunError(
                f"max_new_tokens is {self.max_new_tokens}", mend="choose max_new_tokens 1 or more"
            )


@dataclass(frozen=True)
class Step:
    """One generated token.

    Attributes:
        token_id: the token.
        text: what it adds to the answer: whole characters, perhaps none.
        finish: None before the last step; then ``"stop"`` after a stop token, ``"length"``
            where ``max_new_tokens`` or the session's maximum length ended the answer.
    """

    token_id: int
    text: str
    finish: Finish | None


@dataclass(frozen=True)
class Generation:
    """A finished answer.

    Attributes:
        token_ids: the tokens, the stop token included.
        text: the answer without special tokens.
        finish: as in :class:`Step`.
    """

    token_ids: tuple[int, ...]
    text: str
    finish: Finish


def generate(
    context: Context,
    logits: np.ndarray,
    options: Options,
    *,
    stop_tokens: Collection[int],
    tokenizer: Tokenizer,
) -> Iterator[Step]:
    """Continue what a context holds.

    Args:
        context: extended by every token generated but the last.
        logits: float32 ``[vocab]``, of the context's last position.
        options: how.
        stop_tokens: tokens that end the answer.
        tokenizer: decodes the tokens.
    """
    sampler, stream = Sampler(options.sampling), TextStream(tokenizer)
    limit = min(options.max_new_tokens, context.capacity - context.length + 1)
    for count in range(1, limit + 1):
        token = sampler(logits, context.token_ids)
        if token in stop_tokens:
            yield Step(token, stream.flush(), "stop")
            return
        text = stream.push(token)
        if count == limit:
            yield Step(token, text + stream.flush(), "length")
            return
        yield Step(token, text, None)
        logits = context.extend(Inputs.plain(np.array([token], np.int64)))[0]


def collect(steps: Iterable[Step], on_text: Callable[[str], None] | None = None) -> Generation:
    """The whole answer; ``on_text`` is called with each piece of text as it arrives."""
    tokens, texts, finish = [], [], None
    for step in steps:
        tokens.append(step.token_id)
        texts.append(step.text)
        finish = step.finish
        if on_text is not None and step.text:
            on_text(step.text)
    assert finish is not None, "generate always yields a last step"
    return Generation(tuple(tokens), "".join(texts), finish)
