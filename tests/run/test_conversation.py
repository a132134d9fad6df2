"""Conversations about images of any size and videos, whatever of them is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialogues import TALKS, assistant, counting, picture, user, video
from tests.images.films import film
from tests.run.original import expected_logits
from vlmforge.decode.generate import Options
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.reading import fill
from vlmforge.errors import ImageError, RunError, VideoError
from vlmforge.formats.kv import Snapshot
from vlmforge.images.grid import Grid
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

SHORT = Options(max_new_tokens=6)

talks = pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)


@talks
def test_logits_are_those_of_one_plain_pass(dynamic_session: Session, talk: Any) -> None:
    inputs = dynamic_session.inputs(talk)

    logits = fill(dynamic_session.new_context(), inputs, logits=len(inputs))

    np.testing.assert_array_equal(logits, expected_logits(dynamic_session, talk))


@talks
def test_turn_by_turn_equals_a_fresh_conversation(dynamic_session: Session, talk: Any) -> None:
    conversation, prefixes = Conversation(dynamic_session), PrefixCache(dynamic_session.text, 300)
    for turn in range(1, len(talk) + 1, 2):
        kept = conversation.generate(talk[:turn], SHORT)
        shared = Conversation(dynamic_session, prefixes).generate(talk[:turn], SHORT)

        assert kept == shared == Conversation(dynamic_session).generate(talk[:turn], SHORT)


@talks
def test_a_file_goes_on_with_the_same_answers(
    dynamic_session: Session, tmp_path: Path, talk: Any
) -> None:
    counted = counting(dynamic_session)
    first = Conversation(counted)
    answer = first.generate(talk, SHORT)
    first.snapshot().save(tmp_path / "talk.kv")
    again = [*talk, assistant(answer.text), user(picture(8, (100, 30)), video(9, 2), "Why?")]
    counted.text.rows.clear()
    restored = Conversation(counted)

    restored.restore(Snapshot.load(tmp_path / "talk.kv"))
    found = restored.generate(again, SHORT)

    assert counted.text.rows[0] < len(counted.inputs(again)) - len(counted.inputs(talk)) + 8
    assert found == Conversation(dynamic_session).generate(again, SHORT)


def test_any_cut_leaves_whole_images_and_the_same_bits(dynamic_session: Session) -> None:
    inputs = dynamic_session.inputs(TALKS["a video between images"])
    context = dynamic_session.new_context()
    expected = fill(context, inputs)
    for length in range(0, len(inputs), 7):
        kept = context.truncate(length)

        assert kept <= length and inputs.whole(kept) == kept
        np.testing.assert_array_equal(fill(context, inputs), expected)
        assert context.spans == inputs.spans


def test_the_same_pixels_in_another_shape_are_another_image(dynamic_session: Session) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (56, 112, 3), np.uint8)
    wide = {"type": "image", "image": pixels}
    high = {"type": "image", "image": pixels.reshape(112, 56, 3)}
    conversation = Conversation(dynamic_session)
    conversation.generate([user(wide, "?")], SHORT)

    found = conversation.generate([user(high, "?")], SHORT)

    assert found == Conversation(dynamic_session).generate([user(high, "?")], SHORT)


def test_images_of_one_batch_may_differ_in_size(dynamic_session: Session) -> None:
    counted = counting(dynamic_session)
    messages = TALKS["sixteen images"]

    _, visuals = counted.prepare(messages)
    features = counted.encode(visuals)

    assert counted.vision is not None and counted.vision.machine.batches == [15]  # one is repeated
    assert {each.grid for each in features} == {Grid(1, 2, 2), Grid(1, 2, 3), Grid(1, 2, 4)}
    for visual, found in zip(visuals, features, strict=True):
        alone = counting(dynamic_session).encode([visual])[0]
        np.testing.assert_array_equal(found.rows, alone.rows)


def test_a_video_is_a_request_a_slice(dynamic_session: Session) -> None:
    counted = counting(dynamic_session)

    inputs = counted.inputs([user(video(0, 7, (56, 84)), "?")])

    assert counted.vision is not None and counted.vision.machine.rows == [24] * 4
    assert [span.grid for span in inputs.spans] == [Grid(4, 3, 2)]


def test_a_video_file(dynamic_session: Session, tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", size=(84, 56))
    part = {"type": "video", "video": file, "fps": 10}

    inputs = dynamic_session.inputs([user(part, "What happens?")])
    answer = Conversation(dynamic_session).generate([user(part, "What happens?")], SHORT)

    assert [span.grid for span in inputs.spans] == [Grid(5, 2, 3)]
    assert answer.token_ids


def test_a_fixed_package_takes_videos_too(session: Session) -> None:
    conversation, messages = Conversation(session), [user(video(0, 3), "?")]

    answer = conversation.generate(messages, SHORT)

    assert [span.grid for span in session.inputs(messages).spans] == [Grid(2, 8, 8)]
    assert answer == Conversation(session).generate(messages, SHORT)


@pytest.mark.parametrize(
    ("parts", "error", "what"),
    [
        ([picture(0, (300, 300))] * 40, ImageError, "the image has 16 tokens, there is room for"),
        ([video(0, 66, (200, 200))], VideoError, r"the video has \d+ tokens"),
        (["word " * 100, *[picture(0, (300, 300))] * 31], RunError, "maximum length is 512"),
    ],
)
def test_more_tokens_than_the_cache_are_refused_before_the_work(
    dynamic_session: Session, parts: list[Any], error: type[RunError], what: str
) -> None:
    counted = counting(dynamic_session)

    with pytest.raises(error, match=what) as raised:
        Conversation(counted).generate([user(*parts)], SHORT)

    assert "max_length" in str(raised.value.mend)
    assert counted.vision is not None and counted.vision.machine.rows == counted.text.rows == []


def test_an_image_that_fills_the_cache_to_the_end(dynamic_package: Path) -> None:
    messages = [user("Look:", picture(0, (300, 300)))]
    length = len(Session.open(dynamic_package).inputs(messages))

    full = Session.open(dynamic_package, max_length=length)
    answer = Conversation(full).generate(messages, SHORT)

    assert len(answer.token_ids) == 1 and answer.finish in ("length", "stop")
    with pytest.raises(RunError, match=f"maximum length is {length - 1}"):
        Session.open(dynamic_package, max_length=length - 1).inputs(messages)


def test_a_budget_of_pixels(dynamic_package: Path, tiny_package: Path) -> None:
    session = Session.open(dynamic_package, max_pixels=5 * 784)
    messages = [user(picture(0, (300, 300)), video(1, 2, (300, 300)), "?")]

    assert {span.grid for span in session.inputs(messages).spans} == {Grid(1, 2, 2)}
    fixed = Session.open(tiny_package, max_pixels=5 * 784).inputs(messages)
    assert {span.grid for span in fixed.spans} == {Grid(1, 8, 8)}
    with pytest.raises(RunError, match="max_pixels is 0"):
        Session.open(dynamic_package, max_pixels=0)


def test_sizes_that_no_program_reads(dynamic_session: Session) -> None:
    for size, what in (((2000, 9), "200 times"), ((3000, 16), r"\d+ patches, at most 50")):
        with pytest.raises(ImageError, match=what):
            dynamic_session.inputs([user(picture(0, size), "?")])
