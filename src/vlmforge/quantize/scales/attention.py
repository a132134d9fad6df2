"""The scales of an attention's queries and keys, balanced channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

INT8_MAX = 127


def _octaves(steps: range, parts: int) -> np.ndarray:
    """``2 ** (step / parts)``, float64, rounded from decimals: libraries' powers differ."""
    return np.array([float(Decimal(2) ** (Decimal(step) / parts)) for step in steps])


TRIED_SCORES = _octaves(range(81), 10)
"""Tried scales of the scores: from the smallest, in steps of a tenth of an octave."""

TRIED_CLIPPINGS = _octaves(range(-30, 6), 5)
"""Tried clippings of queries: smaller and larger than the largest, in steps of a fifth octave."""

SATURATED = 1.0
"""Squared error of a row's scores, in nats, beyond which more does not matter."""


@dataclass(frozen=True)
class ScoreScales:
    """What makes scores of codes: ``q·k = scores[h] Σ_d code_q code_k`` in head h.

    Attributes:
        keys: float64 ``[kv_heads, head_dim]``, ``k = keys code_k``.
        scores: float64 ``[heads]``; ``q = scores[h] / keys code_q``.
    """

    keys: np.ndarray
    scores: np.ndarray


def balance(queries: np.ndarray, keys: np.ndarray) -> ScoreScales:
    """Scales that share the error of the scores between queries and keys.

    A channel's key has the step ``s``, its query the step ``S / s`` with one ``S`` for the head, so
    the channel adds ``(S / s)² k² + s² q²`` to a score's squared error, which is least at
    ``s² = S k / q``. ``s`` may not clip keys (``s ≥ k / 127``), ``S`` may not clip queries
    (``S ≥ q s / 127``). With the smallest ``s`` everywhere, a channel of large keys, such as one
    with a large bias, would set ``S`` and take the resolution of all other queries.

    Args:
        queries: float64 ``[heads, head_dim]``, the largest absolute values, positive.
        keys: float64 ``[kv_heads, head_dim]``, the same.
    """
    groups = queries.reshape(len(keys), -1, keys.shape[1])
    largest = groups.max(axis=1)
    lowest = keys / INT8_MAX
    smallest = (largest * lowest).max(axis=1, keepdims=True) / INT8_MAX
    tried = smallest * TRIED_SCORES
    steps = np.maximum(np.sqrt(tried[..., None] * (keys / largest)[:, None]), lowest[:, None])
    scores = (largest[:, None] * steps).max(axis=-1, keepdims=True) / INT8_MAX
    errors = ((scores / steps * keys[:, None]) ** 2 + (steps * largest[:, None]) ** 2).sum(axis=-1)
    chosen = steps[np.arange(len(keys)), errors.argmin(axis=1)]
    return ScoreScales(chosen, ((groups * chosen[:, None]).max(axis=2) / INT8_MAX).reshape(-1))


def clip_queries(
    found: ScoreScales, queries: np.ndarray, power: np.ndarray, scale: float
) -> ScoreScales:
    """The scales with ``scores`` at which the rows' scores lose least, clipped or not.

    A head that looks for something special has queries of a hundred times the usual size where it
    finds it. Its scores there are so far apart that the softmax does not see their error, and that
    of the keys moves them more than it sees. So the squared error of a row's scores, expected over
    keys, counts up to :data:`SATURATED`, and the mean over rows is least where most rows keep
    their resolution.

    Args:
        found: with the steps of the keys.
        queries: float64 ``[rows, heads, head_dim]``, some rows.
        power: float64 ``[kv_heads, head_dim]``, the keys' mean squares.
        scale: of the scores before the softmax.
    """
    shared = queries.shape[1] // len(power)
    scores = np.empty_like(found.scores)
    for head, largest in enumerate(found.scores):
        rows, steps, energy = queries[:, head], found.keys[head // shared], power[head // shared]
        rounded_keys = (np.square(rows) * np.square(steps)).sum(axis=1) / 12
        tried = largest * TRIED_CLIPPINGS
        errors = [
            (np.square(_round(rows, score / steps) - rows) * energy).sum(axis=1) + rounded_keys
            for score in tried
        ]
        losses = np.minimum(np.square(scale) * np.stack(errors), SATURATED).mean(axis=1)
        scores[head] = tried[losses.argmin()]
    return ScoreScales(found.keys, scores)


def _round(rows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return np.rint(rows / steps).clip(-INT8_MAX, INT8_MAX) * steps
