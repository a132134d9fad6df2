"""Rows of images are told from each other and from words."""

from __future__ import annotations

import numpy as np
import pytest

from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.integrations.qbruntime import rows
from vlmforge.integrations.qbruntime.rows import ImageRows, Words, found_spans
from vlmforge.prompt.spans import Span

TABLE = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def image(key: int, *numbers: int) -> ImageFeatures:
    """An image of some rows, each of one number."""
    values = np.repeat(np.array(numbers, np.float32), 6).reshape(-1, 6)
    return ImageFeatures(key, values, Grid(1, 1, len(numbers)))


def spans(known: ImageRows, given: np.ndarray) -> list[Span]:
    return list(found_spans(given, known, Words(TABLE), None, 0))


def test_images_that_begin_alike() -> None:
    known, images = ImageRows(), [image(-1, 7, 7, 8), image(-2, 7, 7, 9), image(-3, 7, 7)]
    for each in images:
        known.add(each)
    given = np.concatenate([TABLE[3:5], images[1].rows, images[0].rows, TABLE[:1]])

    found = spans(known, given)

    assert [(span.start, span.key) for span in found] == [(2, -2), (5, -1)]

    (begun,) = spans(known, images[2].rows)  # as far as rows go, it is any
    rest = found_spans(images[1].rows[2:], known, Words(TABLE), begun, 2)
    assert begun.stop == 3 and list(rest) == []


def test_the_oldest_images_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "REMEMBERED", 40)
    known, images = ImageRows(), [image(-key, key, key + 10, key + 20) for key in (1, 2, 3)]
    for each in (*images[:2], images[0], images[2]):
        known.add(each)

    assert [spans(known, each.rows)[0].key for each in (images[0], images[2])] == [-1, -3]
    with pytest.raises(RunError, match="row 0 is neither"):
        spans(known, images[1].rows)


def test_words_are_rows_of_the_table() -> None:
    words = Words(TABLE)

    assert all(row in words for row in TABLE)
    assert not any(row in words for row in TABLE + np.float32(1))
