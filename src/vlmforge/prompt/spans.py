"""Span: where an image or a video stands among the tokens of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from vlmforge.images.grid import Grid

TEXT: Final = 0
IMAGE: Final = 1
VIDEO: Final = 2
"""What a token stands for, as in Hugging Face's ``mm_token_type_ids``."""


class Span(NamedTuple):
    """An image or a video in a sequence.

    Attributes:
        start: the first of its tokens; negative where a part of a sequence begins behind it.
        key: negative; equal for equal pixels of an equal grid.
        grid: where its tokens sit.
    """

    start: int
    key: int
    grid: Grid

    @property
    def stop(self) -> int:
        """The first token after it."""
        return self.start + self.grid.tokens

    def moved(self, tokens: int) -> Span:
        """The same so many tokens later."""
        return self._replace(start=self.start + tokens)


def whole(spans: Sequence[Span], length: int) -> int:
    """The longest cut after at most ``length`` tokens that parts no span, which ascend."""
    parted = (span.start for span in reversed(spans) if span.start < length < span.stop)
    return next(parted, length)


def within(spans: Sequence[Span], start: int, stop: int) -> tuple[Span, ...]:
    """The spans of which tokens ``[start, stop)`` hold a part, counted from there."""
    return tuple(s.moved(-start) for s in spans if s.start < stop and s.stop > start)
