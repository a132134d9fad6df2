"""Generation: one token after another, as text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from vlmforge.decode.context import Context
from vlmforge.decode.grammar import Constraint, Grammar
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.log_probabilities import MOST, LogProbabilities
from vlmforge.decode.prompt_read import PromptRead, PromptScores
from vlmforge.decode.reading import extend
from vlmforge.decode.sampling import Sampler, Sampling
from vlmforge.decode.stop import StopStrings
from vlmforge.decode.stream import TextStream
from vlmforge.errors import RunError

Finish = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Options:
    """How an answer is generated.

    Attributes:
        max_new_tokens: most tokens generated, the stop token included.
        sampling: how each is chosen; greedy by default.
        stop: texts that end the answer, which does not show them.
        logprobs: how many tokens each step names as the most probable, beside the one chosen;
            None for no log-probabilities.
        prompt_logprobs: the same of each token of the prompt, which is then read anew.
        grammar: of the text of the answer; None for any text.
    """

    max_new_tokens: int = 512
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        if not all(self.stop):
            raise RunError("a stop string is empty", mend="leave it out")
        for name in ("logprobs", "prompt_logprobs"):
            count = getattr(self, name)
            if count is not None and not 0 <= count <= MOST:
                raise RunError(f"{name} is {count}", mend=f"choose {name} from 0 to {MOST}")
        if self.max_new_tokens < 1:
            raise RunError(
                f"max_new_tokens is {self.max_new_tokens}", mend="choose max_new_tokens 1 or more"
            )

    def scores(self, token_ids: np.ndarray) -> PromptScores | None:
        """What takes the log-probabilities of a prompt, int64 ``[seq]``, if they are asked for."""
        count = self.prompt_logprobs
        return None if count is None else PromptScores(token_ids, count)


@dataclass(frozen=True)
class Step:
    """One generated token.

    Attributes:
        token_id: the token.
        text: what it adds to the answer: whole characters, perhaps none.
        finish: None before the last step; then ``"stop"`` after a stop token or stop string, or
            where a grammar has its end, ``"length"`` where ``max_new_tokens`` or the session's
            maximum length ended the answer. An answer that was cancelled has no last step.
        logprobs: of the token, where :attr:`Options.logprobs` asks for them.
        prompt: what was read, of the first step.
    """

    token_id: int
    text: str
    finish: Finish | None
    logprobs: LogProbabilities | None = None
    prompt: PromptRead | None = None


@dataclass(frozen=True)
class Generation:
    """A finished answer.

    Attributes:
        token_ids: the tokens, the stop token included.
        text: the answer without special tokens.
        finish: as in :class:`Step`, or ``"cancelled"``.
        logprobs: of each token, or none.
        prompt: what was read; None where an answer was cancelled before its first step.
    """

    token_ids: tuple[int, ...]
    text: str
    finish: Finish
    logprobs: tuple[LogProbabilities, ...] = ()
    prompt: PromptRead | None = None

    @staticmethod
    def of(steps: Sequence[Step], finish: Finish) -> Generation:
        """What some steps amount to."""
        return Generation(
            tuple(step.token_id for step in steps),
            "".join(step.text for step in steps),
            finish,
            tuple(step.logprobs for step in steps if step.logprobs is not None),
            steps[0].prompt if steps else None,
        )


class Decoder:
    """Turns logits into the steps of one answer.

    Args:
        options: how.
        limit: most tokens there is room for.
        stop_tokens: tokens that end the answer.
        tokenizer: decodes the tokens.
        constraint: of the options' grammar.
    """

    def __init__(
        self,
        options: Options,
        limit: int,
        stop_tokens: Collection[int],
        tokenizer: Tokenizer,
        constraint: Constraint | None = None,
    ) -> None:
        self._left = min(options.max_new_tokens, limit)
        self._stop_tokens, self._logprobs = stop_tokens, options.logprobs
        self._constraint = constraint
        self._sampler, self._stream = Sampler(options.sampling), TextStream(tokenizer)
        self._stops = StopStrings(options.stop)
        self._prompt: PromptRead | None = None

    def begin(self, prompt: PromptRead) -> None:
        """Let the first step tell what was read."""
        self._prompt = prompt

    def __call__(self, logits: np.ndarray, seen: np.ndarray) -> Step:
        """The next step; none may follow one that finishes.

        Args:
            logits: float32 ``[vocab]``, of the last token.
            seen: int64 ``[n]``, the tokens so far, those of the prompt included.

        Raises:
            RunError: the grammar cannot be followed.
        """
        allowed = logits if self._constraint is None else self._constraint.allowed(logits)
        token = self._sampler(allowed, seen)
        self._left -= 1
        text = self._stops.push(self._text(token))
        finish = self._finish(token)
        if finish is not None:
            text += self._stops.push(self._stream.flush()) + self._stops.flush()
        named, prompt, self._prompt = self._logprobs, self._prompt, None
        found = None if named is None else LogProbabilities.of(logits, token, named)
        return Step(token, text, finish, found, prompt)

    def _text(self, token: int) -> str:
        return "" if token in self._stop_tokens else self._stream.push(token)

    def _finish(self, token: int) -> Finish | None:
        if token in self._stop_tokens or self._stops.found:
            return "stop"
        if self._constraint is not None:
            self._constraint.accept(token)
            if self._constraint.complete:
                return "stop"
        return "length" if self._left == 0 else None


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
    taken: list[Step] = []
    for step in steps:
        taken.append(step)
        if on_text is not None and step.text:
            on_text(step.text)
    assert taken[-1].finish is not None, "an answer has a last step"
    return Generation.of(taken, taken[-1].finish)
