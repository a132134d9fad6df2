"""attention of the reference machine: integer scores, integer probabilities, exact sums."""

from __future__ import annotations

import numpy as np

from vlmforge.fixed_point import LIMITS, exp, to_code
from vlmforge.machine.reference.step import Frame, Step
from vlmforge.machine.request import check_indexes, check_intervals

BLOCK = 1 << 18
"""Scores held at once, which bounds memory and keeps them in the processor's cache."""

HIDDEN = np.float32(-(2**26))
"""Stands for the score of a key the row may not see; real scores stay within ±2^24."""

LARGEST = np.float32(LIMITS["int16"])
"""Probability code of a row's best key."""


def attention(
    step: Step,
    frame: Frame,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    sees: np.ndarray | None = None,
) -> np.ndarray:
    """q int8 ``[n, H·D]``, k and v int8 ``[M, G·D]`` to codes ``[n, H·D]``.

    ``sees`` is index ``[n]`` or visible ``[n, 2]``.
    """
    new = len(k)
    if frame.cache is not None and step.attrs.get("cache") is not None:
        k, v = _append(step, frame, k, v)
    visible = _visible(step, len(q), new, len(k), sees)
    keys = _heads(step, k).astype(np.float32).transpose(1, 2, 0)
    values = _heads(step, v).astype(np.float64).transpose(1, 0, 2)
    rows = max(1, BLOCK // (step.attrs["heads"] * len(k)))
    output = np.empty(q.shape, step.dtype)
    for start in range(0, len(q), rows):
        part = slice(start, start + rows)
        first, end = visible[part, 0].min(), visible[part, 1].max()
        seen = keys[:, :, first:end], values[:, first:end]
        output[part] = _attend(step, q[part], *seen, visible[part] - first)
    return output


def _attend(
    step: Step, q: np.ndarray, keys: np.ndarray, values: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """Rows of the output; keys ``[G, D, T]``, values ``[G, T, D]``, all of which some row sees."""
    n, (groups, head_dim, seen) = len(q), keys.shape
    queries = q.reshape(n, groups, -1, head_dim).transpose(1, 2, 0, 3).astype(np.float32)
    scores = queries.reshape(groups, -1, head_dim) @ keys
    scores = scores.reshape(groups, -1, n, seen)
    positions = np.arange(seen)
    hidden = (positions < visible[:, :1]) | (positions >= visible[:, 1:])
    np.copyto(scores, HIDDEN, where=hidden)
    scores -= scores.max(axis=-1, keepdims=True)
    scores *= step.tensors["score_multiplier"].reshape(groups, -1, 1, 1)
    probabilities = np.rint(exp(scores) * LARGEST)
    np.copyto(probabilities, 0, where=hidden)
    totals = probabilities.sum(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    wide = probabilities.astype(np.float64).reshape(groups, -1, seen)
    sums = (wide @ values).reshape(groups, -1, n, head_dim).astype(np.float32)
    context = sums * (step.tensors["multiplier"].reshape(groups, -1, 1, head_dim) / totals)
    return to_code(context.transpose(2, 0, 1, 3).reshape(n, -1), step.dtype)


def _visible(step: Step, n: int, new: int, keys: int, sees: np.ndarray | None) -> np.ndarray:
    """The first key that each row sees, and the one after the last, int64 ``[n, 2]``."""
    if sees is not None and sees.ndim == 2:
        check_intervals(step.name, sees, keys)
        return sees
    if sees is not None:
        check_indexes("index", step.name, sees, new)
    if not step.attrs["causal"]:
        last = np.full(n, keys - 1)
    else:
        last = keys - new + (np.arange(n) if sees is None else sees)
    return np.stack([np.zeros_like(last), last + 1], axis=1)


def _append(
    step: Step, frame: Frame, k: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All keys and values so far, after writing those of this chunk behind the cached ones."""
    assert frame.cache is not None
    name, past = step.attrs["cache"], frame.cache.length
    end = past + len(k)
    keys, values = frame.cache.keys[name], frame.cache.values[name]
    keys[past:end], values[past:end] = k, v
    return keys[:end], values[:end]


def _heads(step: Step, x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), step.attrs["kv_heads"], step.attrs["head_dim"])
