"""Positions of M-RoPE: text counts up, an image spans a height and a width at one moment.

Every token has a temporal, a height and a width position (Qwen2-VL, arXiv 2409.12191, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def rope_index(
    is_image: np.ndarray, grids: Iterable[tuple[int, int]], start: int = 0
) -> tuple[np.ndarray, int]:
    """M-RoPE positions of a run of tokens.

    Args:
        is_image: bool ``[seq]``, true where a token stands for a cell of an image.
        grids: rows and columns of cells of each image, in order; an image occupies
            ``rows * columns`` consecutive tokens.
        start: position of the first token.

    Returns:
        int64 ``[3, seq]`` positions (temporal, height, width), and the position of the token
        that follows. That position minus the number of tokens is Hugging Face's ``rope_delta``.
    """
    positions = np.empty((3, is_image.size), np.int64)
    if not is_image.any():
        stop = start + is_image.size
        positions[:] = np.arange(start, stop)
        return positions, stop
    edges, at = np.flatnonzero(np.diff(is_image)) + 1, 0
    images = iter(grids)
    while at < is_image.size:
        if is_image[at]:
            height, width = next(images)
            stop, span = at + height * width, max(height, width)
            positions[:, at:stop] = start + np.indices((1, height, width)).reshape(3, -1)
        else:
            stop = next((int(edge) for edge in edges if edge > at), is_image.size)
            span = stop - at
            positions[:, at:stop] = start + np.arange(span)
        at, start = stop, start + span
    return positions, start
