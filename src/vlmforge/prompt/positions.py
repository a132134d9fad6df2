"""Kinds of positions: where text, images and videos stand for a decoder's rotary embedding.

A text program reads three positions of each token (Qwen2-VL, arXiv 2409.12191, section 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.prompt.spans import Span

AXES = 3


class Positions(Protocol):
    """A kind of positions; text counts up on all axes."""

    def within(self, grid: Grid) -> np.ndarray:
        """Positions of the tokens of an image or video, int64 ``[3, tokens]``, from its start."""
        ...

    def extent(self, grid: Grid) -> int:
        """How far behind its start the text after it goes on."""
        ...


class MRope:
    """M-RoPE: a token of an image has a moment, a row and a column.

    The slices of a video follow each other at its pace: by one, or with the time (Qwen2.5-VL, arXiv
    2502.13923, section 2.1.3).
    The text after an image or video goes on behind the larger of its rows and columns, also where a
    video has more slices, as in transformers 5.23. So positions follow from the sequence alone,
    and are the same however it came about. ``generate`` of transformers goes on behind the largest
    position there is instead, which differs only after a video of more slices than rows, columns
    and the tokens behind it together.
    """

    def within(self, grid: Grid) -> np.ndarray:
        """See :class:`Positions`."""
        places = np.indices((grid.frames, *grid.area), np.int64).reshape(AXES, -1)
        moments = np.arange(grid.frames, dtype=np.float32) * np.float32(grid.pace)
        places[0] = moments.astype(np.int64)[places[0]]
        return places

    def extent(self, grid: Grid) -> int:
        """See :class:`Positions`."""
        return max(grid.rows, grid.columns)


class OneAxis:
    """Tokens of images count as those of text do."""

    def within(self, grid: Grid) -> np.ndarray:
        """See :class:`Positions`."""
        return np.tile(np.arange(grid.tokens), (AXES, 1))

    def extent(self, grid: Grid) -> int:
        """See :class:`Positions`."""
        return grid.tokens


POSITIONS: Final[dict[str, Positions]] = {"mrope": MRope(), "axis": OneAxis()}
"""The kinds by the names that text programs give them; those without a name have M-RoPE."""


def positions_kind(meta: Mapping[str, Any]) -> Positions:
    """The kind of a text program, by its ``Program.meta``; RunError for an unknown one."""
    name = meta.get("positions", "mrope")
    if name not in POSITIONS:
        raise RunError(
            f"the text program's positions are of the kind {name!r}",
            mend=f"use the vlmforge that compiled it; this one knows {', '.join(POSITIONS)}",
        )
    return POSITIONS[name]


def positions_of(kind: Positions, length: int, spans: Sequence[Span], start: int = 0) -> np.ndarray:
    """Positions of a run of tokens.

    Args:
        kind: of positions.
        length: number of tokens.
        spans: the images and videos among them, each whole, ascending.
        start: position of the first token.

    Returns:
        int64 ``[3, length]``: moment, row and column of each.
    """
    positions = np.empty((AXES, length), np.int64)
    at = 0
    for span in spans:
        positions[:, at : span.start] = start + np.arange(span.start - at)
        start += span.start - at
        positions[:, span.start : span.stop] = start + kind.within(span.grid)
        at, start = span.stop, start + kind.extent(span.grid)
    positions[:, at:] = start + np.arange(length - at)
    return positions


def position_after(kind: Positions, length: int, spans: Sequence[Span]) -> int:
    """The position of the token behind a sequence that begins at 0; arguments as before.

    It minus ``length`` is Hugging Face's ``rope_delta``.
    """
    return length + sum(kind.extent(span.grid) - span.grid.tokens for span in spans)
