"""The page of a real server, asked about a real picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from tests.serve.openai.conftest import running
from tests.serve.page.page import Page
from vlmforge.decode.generate import Options
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.openai.server import Serving

KEPT = """module.ConversationStore.open().then(async (store) =>
  (await store.get((await store.list())[0].id)).messages.at(-1).text)"""
"""What was said last, as the browser keeps it."""


def test_the_answer_is_the_models(driver: Any, dynamic_session: Session, tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 40), "red")
    picture.save(tmp_path / "red.png")
    parts = [{"type": "image", "image": picture}, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "user", "content": parts}]
    room = Options(dynamic_session.max_length, dynamic_session.suggested)
    expected = Conversation(dynamic_session).generate(messages, room)

    with running(dynamic_session, Serving(model="tiny")) as address:
        page = Page(driver, address)
        page.open()
        assert page.text("#model") == "tiny"
        page.choose(tmp_path / "red.png")
        page.ask("What is it?")
        page.answered()
        assert page.module("store.js", KEPT) == expected.text
        assert page.violations() == []
        page.leave()
