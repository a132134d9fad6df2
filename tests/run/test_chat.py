"""Chat: commands, turns, and failures that leave the conversation intact."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.dialogues import counting
from tests.images.films import film, pyav
from vlmforge.decode.generate import Options
from vlmforge.run.chat import HELP, Chat
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

SHORT = Options(max_new_tokens=4)


class Transcript(list[str]):
    """What the chat wrote."""

    def take(self) -> str:
        text = "".join(self)
        self.clear()
        return text


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def chat(session: Session, transcript: Transcript) -> Chat:
    return Chat(session, transcript.append, SHORT)


def test_an_image_and_two_turns(
    session: Session, chat: Chat, transcript: Transcript, tmp_path: Path
) -> None:
    Image.new("RGB", (30, 30), "blue").save(tmp_path / "my image.png")
    image = {"type": "image", "image": tmp_path / "my image.png"}
    content = [image, {"type": "text", "text": "What color?"}]
    messages = [{"role": "user", "content": content}]
    expected = Conversation(session).generate(messages, SHORT).text

    chat.run([f"/image {tmp_path / 'my image.png'}\n", "What color?\n"])
    assert transcript.take() == f"{expected}\n"

    messages += [
        {"role": "assistant", "content": expected},
        {"role": "user", "content": "Why?"},
    ]
    chat.handle("Why?")
    assert transcript.take() == f"{Conversation(session).generate(messages, SHORT).text}\n"


def test_a_video_and_two_turns(
    dynamic_session: Session, transcript: Transcript, tmp_path: Path
) -> None:
    file = film(tmp_path / "my film.mp4", size=(90, 60))
    content = [{"type": "video", "video": file}, {"type": "text", "text": "What happens?"}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    expected = Conversation(dynamic_session).generate(messages, SHORT).text
    counted = counting(dynamic_session)
    chat = Chat(counted, transcript.append, SHORT)

    chat.run([f"/video {file}\n", "What happens?\n"])
    assert transcript.take() == f"{expected}\n"

    file.unlink()  # its frames were read
    chat.handle("Why?")
    messages += [{"role": "assistant", "content": expected}, {"role": "user", "content": "Why?"}]
    assert transcript.take().endswith("\n") and counted.vision is not None
    assert len(counted.vision.machine.rows) == 2


def test_a_video_that_cannot_be_shown(
    session: Session, chat: Chat, transcript: Transcript, tmp_path: Path
) -> None:
    pyav()
    assert chat.handle(f"/video {tmp_path / 'none.mp4'}")
    assert "cannot be decoded" in transcript.take()

    blind = Chat(dataclasses.replace(session, preprocess=None), transcript.append)
    assert blind.handle("/video a.mp4") and "no vision program" in transcript.take()


def test_reset_forgets(chat: Chat, transcript: Transcript) -> None:
    chat.run(["Hello?", "Hello?"])
    transcript.take()
    chat.handle("Hello?")
    later = transcript.take()
    chat.run(["/reset", "Hello?"])

    assert transcript.take() != later


def test_exit_ends_and_empty_lines_do_nothing(chat: Chat, transcript: Transcript) -> None:
    assert chat.handle("\n") and transcript.take() == ""
    assert not chat.handle("/exit")
    chat.run(["/exit", "Hello?"])
    assert transcript.take() == ""


def test_help_and_unknown_commands(chat: Chat, transcript: Transcript) -> None:
    assert chat.handle("/help") and transcript.take() == HELP
    assert chat.handle("/dance") and "no command /dance" in transcript.take()


def test_a_failure_is_written_and_the_chat_goes_on(
    chat: Chat, transcript: Transcript, tmp_path: Path
) -> None:
    chat.handle("Hello?")
    chat.handle("Again?")
    first = transcript.take()
    chat.handle("/reset")
    chat.handle("Hello?")
    assert chat.handle(f"/image {tmp_path / 'none.png'}")
    assert chat.handle("word " * 600)
    chat.handle("Again?")
    later = transcript.take()

    assert "none.png" in later and "maximum length" in later
    assert first.splitlines()[-1] == later.splitlines()[-1]


def test_a_system_message_comes_first(session: Session, transcript: Transcript) -> None:
    options = Options(max_new_tokens=24)
    question = {"role": "user", "content": "Hello?"}
    told = [{"role": "system", "content": "Be brief."}, question]
    expected, plain = (
        Conversation(session).generate(messages, options).text for messages in (told, [question])
    )
    chat = Chat(session, transcript.append, options)

    chat.run(["/system Be brief.", "Hello?", "/reset", "/system", "Hello?"])

    assert expected != plain and transcript.take() == f"{expected}\n{plain}\n"


def test_a_stopped_answer_is_kept_as_far_as_it_came(
    session: Session, transcript: Transcript
) -> None:
    speeds: list[str] = []
    stops = iter([False, True, True])
    chat = Chat(session, transcript.append, SHORT, None, speeds.append, lambda: next(stops))
    chat.handle("Hello?")
    first = transcript.take().removesuffix("\n")
    assert speeds[0].startswith("2 tokens")

    chat.handle("Why?")

    messages = [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "Why?"},
    ]
    expected = next(Conversation(session).stream(messages)).text
    assert transcript.take() == f"{expected}\n" and speeds[1].startswith("1 token ")


def test_a_home_that_does_not_exist(chat: Chat, transcript: Transcript) -> None:
    assert chat.handle("/image ~nosuchuser/a.png")
    assert "user who does not exist" in transcript.take()
