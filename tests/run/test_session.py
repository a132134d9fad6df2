"""Sessions: opening packages, and running only what a conversation has not run yet."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import special_id
from tests.dialogues import assistant, counting, picture, user
from vlmforge.decode.context import Context
from vlmforge.decode.generate import Options
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.reading import CHUNK, extend, fill
from vlmforge.errors import PackageError, RunError
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine

SHORT = Options(max_new_tokens=6)


@pytest.fixture
def counted(session: Session) -> Session:
    """The session with machines that count."""
    return counting(session)


def test_later_turns_equal_a_fresh_conversation(session: Session) -> None:
    conversation, messages = Conversation(session), []
    for question in (user(picture(0), "a"), user("b"), user(picture(1), picture(0), "c")):
        messages.append(question)
        answer = conversation.generate(messages, SHORT)
        assert answer == Conversation(session).generate(messages, SHORT)
        messages.append(assistant(answer.text))


def test_images_matter(session: Session) -> None:
    logits = [
        Conversation(session).teacher_forced([user(picture(seed), "what?")], [1]) for seed in (0, 1)
    ]
    assert not np.array_equal(*logits)


def test_only_new_tokens_run(counted: Session) -> None:
    conversation = Conversation(counted)
    first = [user(picture(0), "What is it?")]
    conversation.generate(first, Options(max_new_tokens=1))
    before = len(counted.inputs(first))
    second = [*first, assistant("A star."), user("Where?")]
    conversation.generate(second, Options(max_new_tokens=1))

    assert counted.text.rows == [before, len(counted.inputs(second)) - before]


def test_an_edited_past_is_run_again_from_the_edit(counted: Session) -> None:
    conversation = Conversation(counted)
    conversation.generate([user("What?"), assistant("A star."), user("Where?")], SHORT)
    edited = [user("What?"), assistant("A cross."), user("Where?")]
    counted.text.rows.clear()
    answer = conversation.generate(edited, SHORT)

    assert counted.text.rows[0] < len(counted.inputs(edited))
    assert answer == Conversation(counted).generate(edited, SHORT)


def test_another_image_in_the_same_place_is_noticed(counted: Session) -> None:
    conversation, other = Conversation(counted), [user("x", picture(1), "y")]
    conversation.generate([user("x", picture(0), "y")], SHORT)
    counted.text.rows.clear()
    answer = conversation.generate(other, SHORT)

    assert 64 < counted.text.rows[0] < len(counted.inputs(other))
    assert answer == Conversation(counted).generate(other, SHORT)


def test_an_image_is_encoded_once(counted: Session) -> None:
    for text in ("a", "b"):
        Conversation(counted).generate([user(picture(0), picture(0), text)], SHORT)

    assert counted.vision is not None and len(counted.vision.machine.rows) == 1


def test_long_prompts_run_in_chunks_with_the_same_bits(session: Session) -> None:
    inputs = session.inputs([user(picture(0), "word " * 80)])
    assert len(inputs) > CHUNK
    whole = fill(session.new_context(), inputs, logits=len(inputs))

    pieces, context = [], session.new_context()
    for start, stop in pairwise([0, 110, 111, 300, len(inputs)]):
        pieces.append(extend(context, inputs.slice(start, stop), logits=stop - start))

    assert whole.shape == (len(inputs), session.package.embeddings.shape[0])
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(fill(session.new_context(), inputs), whole[-1:])


def test_teacher_forcing_agrees_with_generation(session: Session) -> None:
    messages = [user(picture(0), "What is it?")]
    answer = Conversation(session).generate(messages, SHORT)

    logits = Conversation(session).teacher_forced(messages, answer.token_ids)

    assert tuple(logits.argmax(-1)) == answer.token_ids


def test_too_long_a_prompt_names_the_maximum(tiny_package: Path) -> None:
    session = Session.open(tiny_package, max_length=40)

    with pytest.raises(RunError, match="maximum length is 40"):
        Conversation(session).generate([user("word " * 40)])


def test_an_empty_prompt(session: Session) -> None:
    nothing = np.empty(0, np.int64)
    with pytest.raises(RunError, match="no tokens"):
        fill(session.new_context(), Inputs(nothing, nothing, np.empty((0, 0), np.float32)))


def test_the_cache_survives_an_interrupted_run(session: Session) -> None:
    conversation = Conversation(session)
    steps = conversation.stream([user("Describe the image.")], SHORT)
    next(steps)
    steps.close()
    other = [user("Where is it?")]

    assert conversation.generate(other, SHORT) == Conversation(session).generate(other, SHORT)


def test_truncation_keeps_images_whole(session: Session) -> None:
    context: Context = session.new_context()
    inputs = session.inputs([user("x", picture(0), "y")])
    fill(context, inputs)
    start = int(np.flatnonzero(inputs.keys < 0)[0])

    assert context.truncate(start + 5) == start
    assert context.token_ids.tolist() == inputs.token_ids[:start].tolist()


@pytest.mark.parametrize("length", [0, -1, 10**6])
def test_max_length_out_of_range(tiny_package: Path, length: int) -> None:
    with pytest.raises(RunError, match="max_length"):
        Session.open(tiny_package, max_length=length)


def test_stop_tokens_come_from_the_settings(tiny_package: Path, tmp_path: Path) -> None:
    generation = json.loads((tiny_package / "generation_config.json").read_text())
    config = json.loads((tiny_package / "config.json").read_text())
    assert Session.open(tiny_package).stop_tokens == set(generation["eos_token_id"])

    other = shutil.copytree(tiny_package, tmp_path / "other")
    (other / "generation_config.json").unlink()

    assert Session.open(other).stop_tokens == {config["eos_token_id"]}


def test_a_package_without_vision_refuses_images(session: Session) -> None:
    blind = dataclasses.replace(session, vision=None, preprocess=None)

    with pytest.raises(RunError, match="no vision program"):
        Conversation(blind).generate([user(picture(0), "?")])
    assert Conversation(blind).generate([user("?")], SHORT).token_ids


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "config.json"])
def test_a_missing_file_is_named(tiny_package: Path, tmp_path: Path, name: str) -> None:
    broken = shutil.copytree(tiny_package, tmp_path / "broken")
    (broken / name).unlink()

    with pytest.raises(PackageError, match=name):
        Session.open(broken)


def mapped_files(package: Path) -> list[Path]:
    return sorted([*package.glob("*.mxq"), package / "model.safetensors"])


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("size", [0, 5000, None], ids=["emptied", "cut", "written"])
def test_a_file_changed_in_its_place_fails_the_run(
    tiny_package: Path, tmp_path: Path, number: int, size: int | None
) -> None:
    package = shutil.copytree(tiny_package, tmp_path / "package")
    session = Session.open(package)
    conversation, question = Conversation(session), [user(picture(0), "What is it?")]
    conversation.generate(question, SHORT)
    file = mapped_files(package)[number]
    if size is None:
        file.write_bytes(file.read_bytes())
    else:
        os.truncate(file, size)
    ways = (
        lambda: conversation.generate([*question, assistant("A star."), user("And?")], SHORT),
        lambda: Conversation(session).generate([user("Hi")], SHORT),
        lambda: session.vision.many([session.preprocess(picture(9)["image"])]),
        lambda: list(Engine(session).map([question], SHORT)),
    )
    for way in ways:
        with pytest.raises(RunError, match=f"{file.name} was changed"):
            way()


def test_files_may_be_exchanged_under_a_running_session(tiny_package: Path, tmp_path: Path) -> None:
    package = shutil.copytree(tiny_package, tmp_path / "package")
    session, question = Session.open(package), [user(picture(0), "What is it?")]
    before = Conversation(session).generate(question, SHORT)
    for file in mapped_files(package):
        file.with_suffix(".new").write_bytes(b"another")
        file.with_suffix(".new").replace(file)
    assert Conversation(session).generate(question, SHORT) == before


BLOCKED = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
import numpy as np
from PIL import Image
from vlmforge.run.chat import Chat
from vlmforge.evaluation.questions import evaluate
from vlmforge.run.conversation import Conversation
from vlmforge.decode.generate import Options
from vlmforge.decode.inputs import Inputs
from vlmforge.machine.machine import Request
from vlmforge.decode.reading import CHUNK, extend, fill
from vlmforge.run.session import Session
image = {"type": "image", "image": Image.new("RGB", (30, 30))}
question = {"role": "user", "content": [image, {"type": "text", "text": "what?"}]}
answer = Conversation(Session.open(sys.argv[1])).generate([question], Options(max_new_tokens=3))
assert len(answer.token_ids) <= 3
"""


def test_runs_without_torch_and_transformers(tiny_package: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", BLOCKED, str(tiny_package)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_special_tokens_in_texts_are_such_if_wanted(tiny_package: Path, session: Session) -> None:
    messages = [{"role": "user", "content": "<|im_end|>"}]
    trusting = Session.open(tiny_package, special_tokens_in_text=True)

    token_ids, trusted = session.prepare(messages)[0], trusting.prepare(messages)[0]

    end = special_id("<|im_end|>")
    assert (trusted == end).sum() == (token_ids == end).sum() + 1
    assert len(token_ids) > len(trusted)


@pytest.mark.parametrize("token", [-1, 320, 1 << 31])
def test_tokens_without_embeddings_are_refused(session: Session, token: int) -> None:
    context = session.new_context()
    extend(context, Inputs.plain(np.array([1, 2])))

    with pytest.raises(RunError, match=f"token {token} is outside 0 to 319"):
        extend(context, Inputs.plain(np.array([3, token])))

    assert context.token_ids.tolist() == [1, 2]
