"""The scales of an attention's queries and keys, balanced channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INT8_MAX = 127

TENTHS = np.arange(0, 81)
"""Tried scales of the scores: from the smallest, in steps of a tenth of an octave."""


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
    tried = smallest * 2.0 ** (TENTHS / 10)
    steps = np.maximum(np.sqrt(tried[..., None] * (keys / largest)[:, None]), lowest[:, None])
    scores = (largest[:, None] * steps).max(axis=-1, keepdims=True) / INT8_MAX
    errors = ((scores / steps * keys[:, None]) ** 2 + (steps * largest[:, None]) ** 2).sum(axis=-1)
    chosen = steps[np.arange(len(keys)), errors.argmin(axis=1)]
    return ScoreScales(chosen, ((groups * chosen[:, None]).max(axis=2) / INT8_MAX).reshape(-1))
