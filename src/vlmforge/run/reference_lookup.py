"""Instructions of the reference machine that move values and compute nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vlmforge.run.reference_step import Frame, Step
from vlmforge.run.request import check_indexes, resolve


def constant(step: Step, frame: Frame) -> np.ndarray:
    """The tensor itself."""
    return step.tensors["value"]


def reshape(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """The same codes in another shape."""
    return x.reshape(resolve(tuple(step.attrs["shape"]), frame.sizes))


def gather_rows(step: Step, frame: Frame, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """x ``[M, ...]``, index ``[n]`` to ``[n, ...]``."""
    mend = "pass indexes of rows of this chunk"
    check_indexes(index, len(x), where=step.name, what="the row", mend=mend)
    return x[index]


def rope_lookup(step: Step, frame: Frame, position_ids: np.ndarray) -> np.ndarray:
    """position_ids ``[3, M]`` to cosines and sines, float32 ``[M, 2, D]``."""
    mend = "shorten the prompt, or compile with a larger cache length"
    limit = len(step.tensors["cos"])
    check_indexes(position_ids, limit, where=step.name, what="the position", mend=mend)
    edges = np.cumsum([0, *step.attrs["sections"]])
    sections = [
        (position_ids[i % 3], slice(start, stop)) for i, (start, stop) in enumerate(pairwise(edges))
    ]
    tables = (step.tensors["cos"], step.tensors["sin"])
    halves = [np.concatenate([t[p, c] for p, c in sections], axis=1) for t in tables]
    return np.stack([np.tile(half, 2) for half in halves], axis=1)
