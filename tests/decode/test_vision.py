"""VisionEncoder: every slice is a request, in batches of bounded size, and remembered."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dialogues import CountingMachine, picture, video
from vlmforge.decode import vision
from vlmforge.decode.vision import VisionEncoder
from vlmforge.images.video import Video
from vlmforge.images.visual import Visual
from vlmforge.run.session import Session


@pytest.fixture
def encoder(dynamic_session: Session) -> VisionEncoder:
    assert dynamic_session.vision is not None
    return VisionEncoder(CountingMachine(dynamic_session.vision.machine))


def seen(session: Session, *parts: dict[str, object]) -> list[Visual]:
    assert session.preprocess is not None
    return [
        session.preprocess(Video(part["video"]) if "video" in part else part["image"])  # type: ignore[arg-type]
        for part in parts
    ]


def test_batches_are_bounded(
    dynamic_session: Session, encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = seen(dynamic_session, picture(0, (56, 56)), video(1, 9, (56, 84)), picture(2, (84, 84)))
    expected = [dynamic_session.encode([each])[0].rows for each in shown]
    monkeypatch.setattr(vision, "CHUNK", 50)

    features = encoder.many(shown)

    assert encoder.machine.rows == [16, 24, 24, 24, 24, 24, 36]
    assert encoder.machine.batches == [2, 2, 2, 1]
    for each, rows in zip(features, expected, strict=True):
        np.testing.assert_array_equal(each.rows, rows)


def test_step_by_step_equals_at_once(dynamic_session: Session, encoder: VisionEncoder) -> None:
    (shown,) = seen(dynamic_session, video(1, 5))
    rows: list[np.ndarray] = []

    steps = [encoder.step(shown, rows) for _ in range(3)]

    assert steps[:2] == [None, None] and encoder.recall(shown) is steps[2] is not None
    np.testing.assert_array_equal(steps[2].rows, dynamic_session.encode([shown])[0].rows)


def test_what_was_used_longest_ago_is_forgotten(
    dynamic_session: Session, encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision, "REMEMBERED", 12 * 96)
    one, two, three = seen(dynamic_session, *(picture(n, (56, 56)) for n in range(3)))
    (large,) = seen(dynamic_session, picture(9, (112, 112)))
    encoder.many([one, two, three])
    assert encoder.recall(one) is not None

    encoder.many(seen(dynamic_session, picture(4, (56, 56))))
    assert [encoder.recall(each) is not None for each in (one, two, three)] == [True, False, True]

    encoder.many([large])
    assert encoder.recall(large) is not None and encoder.recall(three) is None
