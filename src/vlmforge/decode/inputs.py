"""Inputs: tokens with their image features, as a text program reads them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError
from vlmforge.prompt.spans import Span, whole, within

NO_ROWS = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Inputs:
    """Tokens with their image features.

    Attributes:
        token_ids: int64 ``[seq]``.
        keys: int64 ``[seq]``, the identity of each position: the token id, or the negative
            :attr:`ImageFeatures.key` where the token stands for a part of an image.
        rows: float32 ``[image tokens, width]``, the features of all images, see
            :attr:`ImageFeatures.rows`.
        spans: the images and videos, ascending; of a part of a sequence, the first may begin
            before it and the last end behind it.
    """

    token_ids: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    spans: tuple[Span, ...] = ()

    @staticmethod
    def of(
        token_ids: np.ndarray, types: np.ndarray, features: Mapping[int, deque[ImageFeatures]]
    ) -> Inputs:
        """Token ids joined with the images and videos they have room for, which are used up.

        Args:
            token_ids: int64 ``[seq]``.
            types: ``[seq]``, what each token stands for: ``TEXT``, ``IMAGE`` or ``VIDEO``.
            features: of the images and of the videos, in order.

        Raises:
            RunError: a token stands for none of them, or one of them has too few tokens.
        """
        keys, spans, rows = token_ids.copy(), list[Span](), list[np.ndarray]()
        places, at = np.flatnonzero(types), 0
        while at < places.size:
            start, kind = int(places[at]), int(types[places[at]])
            image = features[kind].popleft() if features[kind] else None
            own = np.empty((0, 0)) if image is None else image.rows
            if image is None or not np.array_equal(types[start:][: len(own)], [kind] * len(own)):
                raise _unequal(places.size, at + len(own))
            spans.append(Span(start, image.key, image.grid))
            rows.append(own)
            keys[start : spans[-1].stop] = image.key
            at += len(own)
        return Inputs(token_ids, keys, np.concatenate(rows) if rows else NO_ROWS, tuple(spans))

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
        before, inside = (self.keys[:start] < 0).sum(), (self.keys[start:stop] < 0).sum()
        return Inputs(
            self.token_ids[start:stop],
            self.keys[start:stop],
            self.rows[before : before + inside],
            within(self.spans, start, stop),
        )

    def followed_by(self, token_ids: np.ndarray) -> Inputs:
        """These inputs with further plain tokens, int64 ``[n]``, behind them."""
        return Inputs(
            np.concatenate([self.token_ids, token_ids]),
            np.concatenate([self.keys, token_ids]),
            self.rows,
            self.spans,
        )

    def whole(self, length: int) -> int:
        """The longest cut of at most ``length`` positions that parts no image."""
        return whole(self.spans, length)


def common_length(left: np.ndarray, right: np.ndarray) -> int:
    """How many first keys of two sequences, int64 ``[n]`` and ``[m]``, are the same."""
    common = min(left.size, right.size)
    differs = np.flatnonzero(left[:common] != right[:common])
    return int(differs[0]) if differs.size else common


def _unequal(tokens: int, rows: int) -> RunError:
    return RunError(
        f"{tokens} image tokens for {rows} rows of image features",
        mend="process text and images together, with the package's own processor",
    )
