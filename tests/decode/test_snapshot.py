"""Snapshots: a dialogue goes on where it was, and only where it belongs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialogues import assistant, counting, picture, user
from tests.packages import ORIGIN
from vlmforge.decode import snapshot as snapshots
from vlmforge.decode.generate import Options
from vlmforge.decode.reading import Reading, fill, read
from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError
from vlmforge.formats.kv import Snapshot
from vlmforge.formats.package import write_embeddings
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

SHORT = Options(max_new_tokens=5)
FIRST = [user(picture(0), "What is it?")]
SECOND = [*FIRST, assistant("A star."), user("Where?")]


@pytest.fixture(scope="module")
def taken(session: Session) -> Snapshot:
    conversation = Conversation(session)
    conversation.generate(FIRST, SHORT)
    return conversation.snapshot()


def test_a_dialogue_goes_on_from_a_file(session: Session, taken: Snapshot, tmp_path: Path) -> None:
    taken.save(tmp_path / "dialogue.kv")
    counted = counting(session)
    conversation = Conversation(counted)
    conversation.restore(Snapshot.load(tmp_path / "dialogue.kv"))
    answer = conversation.generate(SECOND, SHORT)

    assert counted.text.rows[0] < 30 < len(counted.inputs(SECOND))
    assert answer == Conversation(session).generate(SECOND, SHORT)


def test_restoring_forgets_what_was_before(session: Session, taken: Snapshot) -> None:
    conversation = Conversation(session)
    conversation.generate([user("Something else.")], SHORT)
    conversation.restore(taken)

    assert conversation.snapshot().token_ids.tolist() == taken.token_ids.tolist()
    np.testing.assert_array_equal(conversation.snapshot().rows, taken.rows)


def test_forks_go_their_own_ways(session: Session) -> None:
    counted = counting(session)
    trunk = Conversation(counted)
    trunk.generate(FIRST, SHORT)
    branch = trunk.fork()
    third = [*FIRST, assistant("A cross."), user("Why?")]
    counted.text.rows.clear()

    assert branch.generate(third, SHORT) == Conversation(session).generate(third, SHORT)
    assert trunk.generate(SECOND, SHORT) == Conversation(session).generate(SECOND, SHORT)
    assert max(counted.text.rows) < 30
    assert Conversation(session).fork().generate(FIRST, SHORT).token_ids


def test_another_package_refuses_it(
    tiny_package: Path, session: Session, taken: Snapshot, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_package, tmp_path / "other")
    table = session.package.embeddings + np.float32(1)
    write_embeddings(other / "model.safetensors", [table], table.shape, ORIGIN)
    again = shutil.copytree(tiny_package, tmp_path / "again")

    with pytest.raises(RunError, match="another package"):
        Conversation(Session.open(other)).restore(taken)
    Conversation(Session.open(again)).restore(taken)


def test_a_session_too_short_for_it(tiny_package: Path, taken: Snapshot) -> None:
    conversation = Conversation(Session.open(tiny_package, max_length=40))

    with pytest.raises(RunError, match="maximum length is 40"):
        conversation.restore(taken)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("token_ids", 1, -1),
        ("token_ids", 1, 320),
        ("keys", 1, 0),
        ("keys", 1, -7),
        ("rows", 2, -128),
    ],
)
def test_impossible_snapshots(
    session: Session, taken: Snapshot, name: str, at: int, value: int
) -> None:
    array = getattr(taken, name).copy()
    array[at] = value

    with pytest.raises(RunError, match=r"no package has read|−128"):
        Conversation(session).restore(dataclasses.replace(taken, **{name: array}))


def changed(spans: tuple[tuple[int, ...], ...], how: str) -> tuple[tuple[int, ...], ...]:
    (start, frames, rows, columns), *_ = spans
    return {
        "missing": (),
        "moved": ((start + 1, frames, rows, columns),),
        "smaller": ((start, frames, rows - 1, columns),),
        "larger": ((start, frames, rows + 1, columns),),
        "twice": (*spans, *spans),
        "beyond": (*spans, (10**9, 1, 1, 1)),
        "huge": ((start, 2**62, rows, columns),),
    }[how]


@pytest.mark.parametrize(
    "how", ["missing", "moved", "smaller", "larger", "twice", "beyond", "huge"]
)
def test_impossible_spans(session: Session, taken: Snapshot, how: str) -> None:
    assert taken.spans[0][1:] == (1, 8, 8)
    altered = dataclasses.replace(taken, spans=changed(taken.spans, how))

    with pytest.raises(RunError, match="no package has read"):
        Conversation(session).restore(altered)


def test_equal_images_side_by_side_stay_two(session: Session) -> None:
    messages = [user(picture(0), picture(0), "What?")]
    touching = session.join(*_touching(session, messages))
    context = session.new_context()
    fill(context, touching)
    other = session.new_context()

    snapshots.restore(other, snapshots.take(context, "p"), "p")

    assert len(context.spans) == 2 and other.spans == context.spans
    first = context.spans[1].start
    assert other.truncate(first + 3) == first
    np.testing.assert_array_equal(fill(other, touching), fill(session.new_context(), touching))


def _touching(session: Session, messages: list[Any]) -> tuple[np.ndarray, list[ImageFeatures]]:
    """Tokens and features of a message whose images have no text between them."""
    token_ids, visuals = session.prepare(messages)
    is_image = token_ids == session.prompts.placeholders.image
    others = token_ids[~is_image]
    joined = np.concatenate([others[:5], token_ids[is_image], others[5:]])
    return joined, session.encode(visuals)


def test_a_part_of_an_image_is_left_out(session: Session) -> None:
    inputs = session.inputs([user("x", picture(0), "y")])
    start = inputs.spans[0].start
    context = session.new_context()
    reading = Reading(context, inputs)
    read([(reading, start + 20)])

    taken = snapshots.take(context, "p")
    other = session.new_context()
    snapshots.restore(other, taken, "p")

    assert (other.length, other.spans) == (start, ())
    with pytest.raises(RunError, match="part of an image"):
        Reading(context, inputs.slice(start + 20, len(inputs)))
    np.testing.assert_array_equal(fill(context, inputs), fill(session.new_context(), inputs))


def test_rows_of_another_shape(session: Session, taken: Snapshot) -> None:
    for rows in (taken.rows[1:], taken.rows[:, 1:]):
        with pytest.raises(RunError, match="rows"):
            Conversation(session).restore(dataclasses.replace(taken, rows=rows))


def test_nothing_to_keep(session: Session) -> None:
    with pytest.raises(RunError, match="nothing to keep"):
        Conversation(session).snapshot()
