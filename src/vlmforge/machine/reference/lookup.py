"""Instructions of the reference machine that move values and compute nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vlmforge.dims import resolve
from vlmforge.machine.reference.step import Frame, Step
from vlmforge.machine.request import check_indexes


def constant(step: Step, frame: Frame) -> np.ndarray:
    """The tensor itself."""
    return step.tensors["value"]


def reshape(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """The same codes in another shape."""
    return x.reshape(resolve(tuple(step.attrs["shape"]), frame.sizes))


def gather_rows(step: Step, frame: Frame, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """x ``[M, ...]``, index ``[n]`` to ``[n, ...]``."""
    check_indexes("gather_rows", step.name, index, len(x))
    return x[index]


def rope_lookup(step: Step, frame: Frame, position_ids: np.ndarray) -> np.ndarray:
    """position_ids ``[3, M]`` to cosines and sines, float32 ``[M, 2, D]``."""
    check_indexes("rope_lookup", step.name, position_ids, len(step.tensors["cos"]))
    edges = np.cumsum([0, *step.attrs["sections"]])
    sections = [
        (position_ids[i % 3], slice(start, stop)) for i, (start, stop) in enumerate(pairwise(edges))
    ]
    tables = (step.tensors["cos"], step.tensors["sin"])
    halves = [np.concatenate([t[p, c] for p, c in sections], axis=1) for t in tables]
    return np.stack([np.tile(half, 2) for half in halves], axis=1)
