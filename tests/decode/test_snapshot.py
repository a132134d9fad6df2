"""Snapshots: a dialogue goes on where it was, and only where it belongs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.dialogues import assistant, counting, picture, user
from tests.packages import ORIGIN
from vlmforge.decode.generate import Options
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


def test_rows_of_another_shape(session: Session, taken: Snapshot) -> None:
    for rows in (taken.rows[1:], taken.rows[:, 1:]):
        with pytest.raises(RunError, match="rows"):
            Conversation(session).restore(dataclasses.replace(taken, rows=rows))


def test_nothing_to_keep(session: Session) -> None:
    with pytest.raises(RunError, match="nothing to keep"):
        Conversation(session).snapshot()
