"""Angles: the positions that cosines and sines of rotary embeddings belong to.

Clients of the dynamic layout pass cosines and sines. They lay channels out in their own way, so the
values are not taken as they are: positions are read off them, and the program looks up its own.
"""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from vlmforge.errors import RunError
from vlmforge.program.core import Program

TOLERANCE = 0.02
"""Largest error of a cosine or sine, which clients compute in float32."""

GRAIN = 64
"""Channels of a packed half are padded to a multiple."""

NEIGHBOURS = np.arange(-4, 5)
"""Positions that may seem alike."""

CHUNK = 64
"""Rows compared with the tables at once."""


class Axis:
    """What is turned by the positions of one axis.

    Args:
        channels: of a head, int64 ``[c]``.
        cos, sin: the tables of all frequencies, float32 ``[positions, half]``; channel ``i`` has
            frequency ``i % half``.
    """

    def __init__(self, channels: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> None:
        self._channels, columns = channels, channels % cos.shape[1]
        self._tables = np.concatenate([cos[:, columns], sin[:, columns]], axis=1)

    def positions(self, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """The positions that cosines and sines of all channels are nearest to, int64 ``[n]``.

        Raises:
            RunError: they are near none.
        """
        given = np.concatenate([cos[:, self._channels], sin[:, self._channels]], axis=1)
        chunks = (given[at : at + CHUNK] for at in range(0, len(given), CHUNK))
        found = np.concatenate([self._nearest(chunk) for chunk in chunks])
        if not (np.abs(self._tables[found] - given) <= TOLERANCE).all():
            raise RunError(
                "cosines and sines of the rotary embedding belong to no positions of the program",
                mend="take rope_theta and the sections from the package's config.json",
            )
        return found

    def _nearest(self, given: np.ndarray) -> np.ndarray:
        """The nearest rows of the tables: by products, then among neighbours by distances.

        Where all frequencies are low, products in float32 do not tell neighbours apart.
        """
        likely = (given @ self._tables.T).argmax(axis=1)
        near = np.clip(likely[:, None] + NEIGHBOURS, 0, len(self._tables) - 1)
        distances = np.square(self._tables[near] - given[:, None], dtype=float).sum(axis=2)
        return near[np.arange(len(near)), distances.argmin(axis=1)]


class Angles:
    """The tables of a program.

    Args:
        program: has one look-up of angles.
    """

    def __init__(self, program: Program) -> None:
        step = next(step for step in program.instructions if step.op == "rope_lookup")
        cos, sin = (np.asarray(program.tensors[step.tensors[name]]) for name in ("cos", "sin"))
        self._cos, self._sin, self._sections = cos, sin, list(step.attrs["sections"])

    @property
    def channels(self) -> int:
        """Of a head."""
        return 2 * int(self._cos.shape[1])

    @property
    def packed(self) -> int:
        """Numbers a row that a client packs cosines and sines into."""
        return 2 * -(-self.channels // GRAIN) * GRAIN

    def of_text(self, packed: np.ndarray) -> np.ndarray:
        """Positions of tokens, int64 ``[3, n]``.

        Args:
            packed: float32 ``[n, packed]``: of each channel of the first half cosine and minus
                sine, then of each of the second half sine and cosine. The channels of all three
                axes stand one behind the other, twice as many as frequencies each.

        Raises:
            RunError: they belong to no positions.
        """
        first, second = packed[:, : self.channels], packed[:, packed.shape[1] // 2 :]
        second = second[:, : self.channels]
        cos = np.concatenate([first[:, 0::2], second[:, 1::2]], axis=1)
        sin = np.concatenate([-first[:, 1::2], second[:, 0::2]], axis=1)
        return np.stack([axis.positions(cos, sin) for axis in self._of_tokens])

    def of_patches(self, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Rows and columns of patches, int64 ``[2, n]``.

        Args:
            cos, sin: float32 ``[n, channels]``: the frequencies of rows, those of columns, and
                both once more.

        Raises:
            RunError: they belong to no positions.
        """
        return np.stack([axis.positions(cos, sin) for axis in self._of_places])

    @cached_property
    def _of_tokens(self) -> list[Axis]:
        return self._axes([2 * section for section in self._sections])

    @cached_property
    def _of_places(self) -> list[Axis]:
        return self._axes(self._sections[:2])

    def _axes(self, counts: list[int]) -> list[Axis]:
        """Axes of so many channels each, one behind the other."""
        spans = pairwise(accumulate(counts, initial=0))
        return [Axis(np.arange(*span), self._cos, self._sin) for span in spans]
