"""Arrays as clients pass them: rows behind axes of size 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlmforge.errors import RunError


def rows_of(inputs: Sequence[Any], widths: Sequence[int]) -> list[np.ndarray]:
    """The rows of each input, float32 ``[n, width]``.

    Args:
        inputs: ``[1, ..., n, width]``, of all as many rows.
        widths: of the inputs that the model takes.

    Raises:
        RunError: they are others.
    """
    if len(inputs) != len(widths):
        raise RunError(f"{len(inputs)} inputs are given, the model takes {len(widths)}")
    arrays = [np.ascontiguousarray(each, np.float32) for each in inputs]
    for array, width in zip(arrays, widths, strict=True):
        if array.ndim < 2 or array.size == 0 or array.size != np.prod(array.shape[-2:]):
            raise RunError(f"an input is {list(array.shape)}, not [1, ..., rows, {width}]")
        if array.shape[-1] != width:
            what = f"an input has rows of {array.shape[-1]} numbers, the model takes {width}"
            raise RunError(what)
    counts = [array.shape[-2] for array in arrays]
    if len(set(counts)) != 1:
        raise RunError(f"the inputs have {counts} rows, which are not as many")
    return [array.reshape(array.shape[-2:]) for array in arrays]
