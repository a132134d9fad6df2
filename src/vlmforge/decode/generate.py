"""Generation: one token after another, as text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from vlmforge.decode.context import Context
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.reading import extend
from vlmforge.decode.sampling import Sampler, Sampling
from vlmforge.decode.stream import TextStream
from vlmforge.errors import RunError

Finish = Literal["stop", "length", "cancelled"]


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
            where ``max_new_tokens`` or the session's maximum length ended the answer. An answer
            that was cancelled has no last step.
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
        finish: as in :class:`Step`, or ``"cancelled"``.
    """

    token_ids: tuple[int, ...]
    text: str
    finish: Finish


class Decoder:
    """Turns logits into the steps of one answer.

    Args:
        options: how.
        limit: most tokens there is room for.
        stop_tokens: tokens that end the answer.
        tokenizer: decodes the tokens.
    """

    def __init__(
        self, options: Options, limit: int, stop_tokens: Collection[int], tokenizer: Tokenizer
    ) -> None:
        self._left = min(options.max_new_tokens, limit)
        self._stop_tokens = stop_tokens
        self._sampler, self._stream = Sampler(options.sampling), TextStream(tokenizer)

    def __call__(self, logits: np.ndarray, seen: np.ndarray) -> Step:
        """The next step; none may follow one that finishes.

        Args:
            logits: float32 ``[vocab]``, of the last token.
            seen: int64 ``[n]``, the tokens so far, those of the prompt included.
        """
        token = self._sampler(logits, seen)
        self._left -= 1
        if token in self._stop_tokens:
            return Step(token, self._stream.flush(), "stop")
        text = self._stream.push(token)
        if self._left == 0:
            return Step(token, text + self._stream.flush(), "length")
        return Step(token, text, None)


def generate(context: Context, logits: np.ndarray, decoder: Decoder) -> Iterator[Step]:
    """Continue what a context holds.

    Args:
        context: extended by every token generated but the last.
        logits: float32 ``[vocab]``, of the context's last position.
        decoder: a new one.
    """
    step = decoder(logits, context.token_ids)
    yield step
    while step.finish is None:
        token = np.array([step.token_id], np.int64)
        step = decoder(extend(context, Inputs.plain(token))[0], context.token_ids)
        yield step


def collect(steps: Iterable[Step], on_text: Callable[[str], None] | None = None) -> Generation:
    """The whole answer; ``on_text`` is called with each piece of text as it arrives."""
    tokens, texts, finish = [], [], None
    for step in steps:
        tokens.append(step.token_id)
        texts.append(step.text)
        finish = step.finish
        if on_text is not None and step.text:
            on_text(step.text)
    assert finish is not None, "an answer has a last step"
    return Generation(tuple(tokens), "".join(texts), finish)
