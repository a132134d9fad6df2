"""attention of the reference machine: integer scores, integer probabilities, exact sums."""

from __future__ import annotations

import numpy as np

from vlmforge.fixed_point import LIMITS, exp, to_code
from vlmforge.machine.reference.step import Frame, Step
from vlmforge.machine.request import check_indexes

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
    index: np.ndarray | None = None,
) -> np.ndarray:
    """q int8 ``[n, H·D]``, k and v int8 ``[M, G·D]`` to codes ``[n, H·D]``."""
    last = _last_keys(step, len(q), len(k), index)
    if frame.cache is not None and step.attrs.get("cache") is not None:
        last = last + frame.cache.length
        k, v = _append(step, frame, k, v)
    keys = _heads(step, k).astype(np.float32).transpose(1, 2, 0)
    values = _heads(step, v).astype(np.float64).transpose(1, 0, 2)
    rows = max(1, BLOCK // (step.attrs["heads"] * len(k)))
    output = np.empty(q.shape, step.dtype)
    for start in range(0, len(q), rows):
        part = slice(start, start + rows)
        output[part] = _attend(step, q[part], keys, values, last[part])
    return output


def _attend(
    step: Step, q: np.ndarray, keys: np.ndarray, values: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """Rows of the output; keys ``[G, D, T]``, values ``[G, T, D]``, row m sees 0 … last[m]."""
    n, groups, head_dim, seen = len(q), len(keys), keys.shape[1], last.max() + 1
    queries = q.reshape(n, groups, -1, head_dim).transpose(1, 2, 0, 3).astype(np.float32)
    scores = queries.reshape(groups, -1, head_dim) @ keys[:, :, :seen]
    scores = scores.reshape(groups, -1, n, seen)
    common = last.min() + 1
    hidden = np.arange(common, seen) > last[:, None]
    scores[..., common:][..., hidden] = HIDDEN
    scores -= scores.max(axis=-1, keepdims=True)
    scores *= step.tensors["score_multiplier"].reshape(groups, -1, 1, 1)
    probabilities = np.rint(exp(scores) * LARGEST)
    probabilities[..., common:][..., hidden] = 0
    totals = probabilities.sum(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    wide = probabilities.astype(np.float64).reshape(groups, -1, seen)
    sums = (wide @ values[:, :seen]).reshape(groups, -1, n, head_dim).astype(np.float32)
    context = sums * (step.tensors["multiplier"].reshape(groups, -1, 1, head_dim) / totals)
    return to_code(context.transpose(2, 0, 1, 3).reshape(n, -1), step.dtype)


def _last_keys(step: Step, n: int, keys: int, index: np.ndarray | None) -> np.ndarray:
    """The last key of this chunk that each row sees, int64 ``[n]``."""
    if index is not None:
        check_indexes("attention", step.name, index, keys)
    if not step.attrs["causal"]:
        return np.full(n, keys - 1)
    return np.arange(n) if index is None else index


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
