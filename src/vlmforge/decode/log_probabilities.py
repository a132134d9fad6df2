"""LogProbabilities: how probable a model thinks a token, and what else in its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST = 100
"""Tokens that may be named in the place of one."""


@dataclass(frozen=True)
class LogProbabilities:
    """Natural logarithms of the model's own distribution, before penalties, grammar and sampling.

    Attributes:
        chosen: of the token that stands there.
        top: the most probable tokens and theirs, best first.
    """

    chosen: float
    top: tuple[tuple[int, float], ...]

    @staticmethod
    def of(logits: np.ndarray, token: int, count: int) -> LogProbabilities:
        """Those of one place.

        Args:
            logits: float32 ``[vocab]``.
            token: the one that stands there.
            count: how many of the most probable are named.
        """
        scores = logits.astype(np.float64)
        scores -= scores.max()
        scores -= np.log(np.exp(scores).sum())
        best = tuple((int(each), float(scores[each])) for each in _best(scores, count))
        return LogProbabilities(float(scores[token]), best)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """The indices of the ``count`` highest, int64 ``[count]``, of equals the first."""
    count = min(count, scores.size)
    if count == 0:
        return np.empty(0, np.int64)
    candidates = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return candidates[np.argsort(-scores[candidates], kind="stable")][:count]
