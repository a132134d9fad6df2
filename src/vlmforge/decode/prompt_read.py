"""PromptRead: what was read before an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vlmforge.decode.log_probabilities import LogProbabilities


@dataclass(frozen=True)
class PromptRead:
    """A prompt that has been read.

    Attributes:
        tokens: how many it has, images included.
        cached: how many of them had been read before, and were not run again.
        logprobs: of each token but the first, where :attr:`Options.prompt_logprobs` asks for them.
    """

    tokens: int
    cached: int = field(default=0, compare=False)
    logprobs: tuple[LogProbabilities, ...] = ()


class PromptScores:
    """Takes the log-probabilities of a prompt's tokens while it is read from its beginning.

    Args:
        token_ids: int64 ``[seq]``, the prompt.
        count: how many of the most probable tokens are named in each place.
    """

    def __init__(self, token_ids: np.ndarray, count: int) -> None:
        self._token_ids, self._count = token_ids, count
        self._found: list[LogProbabilities] = []

    @property
    def found(self) -> tuple[LogProbabilities, ...]:
        """Those of each token but the first, as far as the prompt has been read."""
        return tuple(self._found)

    def add(self, logits: np.ndarray) -> None:
        """Take the logits of the next positions, float32 ``[n, vocab]``."""
        following = self._token_ids[len(self._found) + 1 :]
        for token, scores in zip(following, logits, strict=False):
            self._found.append(LogProbabilities.of(scores, int(token), self._count))
