"""ImageRows and Words: what the rows are that a text program is given without a word about them.

A client passes embeddings, some of which are rows that a vision program gave. Where those stand,
and of which image, decides the positions of M-RoPE; they are recognized by their bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from vlmforge.decode.lock import Lock
from vlmforge.decode.vision import REMEMBERED, ImageFeatures
from vlmforge.errors import RunError
from vlmforge.prompt.spans import Span

MEND = (
    "pass embeddings of the package in float32, and rows of images as its vision program gave them"
    " in this process"
)


class ImageRows:
    """The images that a vision program has encoded of late. Serves several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._images: OrderedDict[int, ImageFeatures] = OrderedDict()
        self._first: dict[int, bytes] = {}

    def add(self, image: ImageFeatures) -> None:
        """Remember an image; the oldest are forgotten where there are too many."""
        with self._lock:
            self._images[image.key], self._first[image.key] = image, image.rows[0].tobytes()
            self._images.move_to_end(image.key)
            while len(self._images) > 1 and self._numbers() > REMEMBERED:
                del self._first[self._images.popitem(last=False)[0]]

    def beginning(self, rows: np.ndarray) -> ImageFeatures | None:
        """The image that rows ``[n, hidden]`` begin with; they may end within it."""
        first = rows[0].tobytes()
        with self._lock:
            likely = [self._images[key] for key, other in self._first.items() if other == first]
        return next((image for image in likely if _goes_on(rows, image.rows)), None)

    def continued(self, rows: np.ndarray, span: Span, start: int) -> bool:
        """Whether rows are those of an image of that grid from its row ``start`` on.

        Images may begin alike; then any will do, as their positions are the same.
        """
        with self._lock:
            likely = [image for image in self._images.values() if image.grid == span.grid]
        return any(_goes_on(rows, image.rows[start:]) for image in likely)

    def _numbers(self) -> int:
        return sum(image.rows.size for image in self._images.values())


class Words:
    """The rows of a table of embeddings, told by their first two numbers.

    Args:
        table: float32 ``[vocabulary, hidden]``.
    """

    def __init__(self, table: np.ndarray) -> None:
        self._known = np.unique(_beginnings(table))

    def __contains__(self, row: object) -> bool:
        found = _beginnings(np.asarray(row, np.float32)[None])[0]
        at = int(np.searchsorted(self._known, found))
        return at < len(self._known) and bool(self._known[at] == found)


def found_spans(
    rows: np.ndarray, images: ImageRows, words: Words, begun: Span | None, held: int
) -> Iterator[Span]:
    """The images that begin among rows that follow others.

    Args:
        rows: float32 ``[n, hidden]``.
        images, words: what they may be.
        begun: the image of which the last rows held are a part, None where they are whole.
        held: how many rows are held.

    Yields:
        The spans, which count from the first row held; the last may end behind the rows.

    Raises:
        RunError: a row is neither, or the image that was begun does not go on.
    """
    at = 0
    if begun is not None:
        if not images.continued(rows, begun, held - begun.start):
            raise RunError(f"row {held} does not go on with the image begun before it", mend=MEND)
        at = begun.stop - held
    while at < len(rows):
        image = images.beginning(rows[at:])
        if image is not None:
            yield Span(held + at, image.key, image.grid)
            at += image.grid.tokens
        elif rows[at] in words:
            at += 1
        else:
            raise RunError(
                f"row {held + at} is neither an embedding of the package nor the first of an image",
                mend=MEND,
            )


def _goes_on(rows: np.ndarray, image: np.ndarray) -> bool:
    common = min(len(rows), len(image))
    return np.array_equal(rows[:common], image[:common])


def _beginnings(rows: np.ndarray) -> np.ndarray:
    """Two numbers of each row in one, uint64 ``[n]``."""
    return np.ascontiguousarray(rows[:, :2]).view(np.uint64)[:, 0]
