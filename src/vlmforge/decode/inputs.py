"""Inputs: tokens with their image features, as a text program reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError

NO_ROWS = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Inputs:
    """Tokens with their image features.

    Attributes:
        token_ids: int64 ``[seq]``.
        keys: int64 ``[seq]``, the identity of each position: the token id, or the negative
            :attr:`ImageFeatures.key` where the token stands for a part of an image.
        rows: float32 ``[image tokens, hidden]``, the features of all images.
    """

    token_ids: np.ndarray
    keys: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(token_ids: np.ndarray, is_image: np.ndarray, images: Sequence[ImageFeatures]) -> Inputs:
        """Token ids joined with the images they have room for; RunError if the room differs.

        Args:
            token_ids: int64 ``[seq]``.
            is_image: bool ``[seq]``, whether a token stands for one row of image features.
            images: in order.
        """
        rows = np.concatenate([i.rows for i in images]) if images else NO_ROWS
        if is_image.sum() != len(rows):
            raise RunError(
                f"{is_image.sum()} image tokens for {len(rows)} rows of image features",
                mend="process text and images together, with the package's own processor",
            )
        keys = token_ids.copy()
        if images:
            keys[is_image] = np.concatenate([np.full(len(i.rows), i.key) for i in images])
        return Inputs(token_ids, keys, rows)

    @staticmethod
    def plain(token_ids: np.ndarray) -> Inputs:
        """Tokens none of which stands for an image, such as those a model generated."""
        return Inputs(token_ids, token_ids, NO_ROWS)

    def __len__(self) -> int:
        return self.token_ids.size

    def slice(self, start: int, stop: int) -> Inputs:
        """Positions ``[start, stop)``."""
        if start == 0 and stop == len(self):
            return self
        before, within = (self.keys[:start] < 0).sum(), (self.keys[start:stop] < 0).sum()
        rows = self.rows[before : before + within]
        return Inputs(self.token_ids[start:stop], self.keys[start:stop], rows)

    def followed_by(self, token_ids: np.ndarray) -> Inputs:
        """These inputs with further plain tokens, int64 ``[n]``, behind them."""
        return Inputs(
            np.concatenate([self.token_ids, token_ids]),
            np.concatenate([self.keys, token_ids]),
            self.rows,
        )


def common_length(left: np.ndarray, right: np.ndarray) -> int:
    """How many first keys of two sequences, int64 ``[n]`` and ``[m]``, are the same."""
    common = min(left.size, right.size)
    differs = np.flatnonzero(left[:common] != right[:common])
    return int(differs[0]) if differs.size else common


def whole_images(keys: np.ndarray, length: int) -> int:
    """The longest cut of at most ``length`` keys that parts no image.

    Equal images side by side count as one.
    """
    while 0 < length < keys.size and keys[length] < 0 and keys[length - 1] == keys[length]:
        length -= 1
    return length
