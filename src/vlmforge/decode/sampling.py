"""Sampler: from logits to the next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vlmforge.errors import RunError


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; the defaults are greedy.

    Filters apply in the order of the attributes, as in Hugging Face's ``generate``; before them,
    the last three, as in OpenAI's interface.

    Attributes:
        repetition_penalty: divides positive, multiplies negative logits of tokens seen; 1 is off.
        temperature: divides the logits; 0 takes the most probable token.
        top_k: keep the k most probable tokens; 0 is off.
        top_p: keep the fewest tokens whose probabilities reach p; 1 is off.
        min_p: keep tokens at least this times as probable as the best; 0 is off.
        seed: of the random numbers; None draws one.
        logit_bias: token to what is added to its logit, from -100 to 100.
        frequency_penalty: taken off a token's logit for each time that the answer has it.
        presence_penalty: taken off the logits of all tokens that the answer has.

    Raises:
        RunError: a value is out of its range.
    """

    repetition_penalty: float = 1.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        _require(self.repetition_penalty > 0, "repetition_penalty", self.repetition_penalty, "> 0")
        _require(self.temperature >= 0, "temperature", self.temperature, "0 or more")
        _require(self.top_k >= 0, "top_k", self.top_k, "0 (off) or more")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        _require(0 <= self.min_p <= 1, "min_p", self.min_p, "from 0 to 1")
        _require(self.seed is None or self.seed >= 0, "seed", self.seed, "0 or more")
        for name in ("frequency_penalty", "presence_penalty"):
            value = getattr(self, name)
            _require(-2 <= value <= 2, name, value, "from -2 to 2")
        for token, bias in self.logit_bias.items():
            _require(token >= 0, "a biased token", token, "0 or more")
            _require(-100 <= bias <= 100, f"the bias of token {token}", bias, "from -100 to 100")


class Sampler:
    """Draws tokens; one sampler serves one answer.

    Args:
        sampling: how.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._random = np.random.default_rng(sampling.seed)
        self._drawn: Counter[int] = Counter()

    def __call__(self, logits: np.ndarray, seen: np.ndarray) -> int:
        """The next token.

        Args:
            logits: float32 ``[vocab]``.
            seen: int64 ``[n]``, tokens of the sequence so far.
        """
        token = self._choose(biased(logits, self._drawn, self.sampling), seen)
        self._drawn[token] += 1
        return token

    def _choose(self, logits: np.ndarray, seen: np.ndarray) -> int:
        if self.sampling.temperature == 0:
            return int(np.argmax(penalize(logits, seen, self.sampling.repetition_penalty)))
        cumulative = np.cumsum(probabilities(logits, seen, self.sampling))
        drawn = np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right")
        return int(min(drawn, np.flatnonzero(np.diff(cumulative, prepend=0.0))[-1]))


def biased(logits: np.ndarray, drawn: Mapping[int, int], sampling: Sampling) -> np.ndarray:
    """Logits ``[vocab]`` with biases added, and penalties taken off for tokens drawn so often."""
    added = dict(sampling.logit_bias)
    if sampling.frequency_penalty or sampling.presence_penalty:
        for token, count in drawn.items():
            penalty = sampling.frequency_penalty * count + sampling.presence_penalty
            added[token] = added.get(token, 0.0) - penalty
    if not added:
        return logits
    changed = logits.copy()
    changed[list(added)] += np.fromiter(added.values(), np.float32)
    return changed


def penalize(logits: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    """Logits ``[vocab]`` with the tokens seen made less likely (CTRL, arXiv 1909.05858)."""
    if penalty == 1 or seen.size == 0:
        return logits
    tokens = np.unique(seen)
    changed = logits.copy()
    changed[tokens] *= np.where(changed[tokens] < 0, penalty, 1 / penalty)
    return changed


def probabilities(logits: np.ndarray, seen: np.ndarray, sampling: Sampling) -> np.ndarray:
    """The filtered distribution, float64 ``[vocab]``; the temperature is above 0."""
    scores = penalize(logits, seen, sampling.repetition_penalty).astype(np.float64)
    scores /= sampling.temperature
    if 0 < sampling.top_k < scores.size:
        scores[scores < np.partition(scores, -sampling.top_k)[-sampling.top_k]] = -np.inf
    scores = _top_p(scores, sampling.top_p)
    chances = _softmax(scores)
    chances[chances < sampling.min_p * chances.max()] = 0
    return chances / chances.sum()


def _top_p(scores: np.ndarray, top_p: float) -> np.ndarray:
    if top_p == 1:
        return scores
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(_softmax(scores)[order])
    dropped = order[1:][reached[:-1] >= top_p]
    scores[dropped] = -np.inf
    return scores


def _softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def _require(holds: bool, name: str, value: object, range_: str) -> None:
    if not holds:
        raise RunError(f"{name} is {value}", where="sampling", mend=f"choose {name} {range_}")
