"""Calls found in answers, whatever their pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.serve.openai.tools import CallReader

CALL = '{"name": "look", "arguments": {"where": "here"}}'
MARKED = f"<tool_call>\n{CALL}\n</tool_call>"

ANSWERS = {
    MARKED: ("", ["look"]),
    f"I look.\n{MARKED}\n{MARKED}": ("I look.\n", ["look", "look"]),
    f"<tool_call>{CALL}": ("", ["look"]),
    "Just <b>text": ("Just <b>text", []),
    "<tool_call>\n{broken": ("<tool_call>\n{broken", []),
    "A <tool": ("A <tool", []),
    "": ("", []),
}

BARE = {
    '{"name": "look", "parameters": {"where": "here"}}': ("", ["look"]),
    f" [{CALL}, {CALL}]": ("", ["look", "look"]),
    '{"name": "look"}': ('{"name": "look"}', []),
    '{"color": "red"}': ('{"color": "red"}', []),
    "[1, 2]": ("[1, 2]", []),
    "Text {": ("Text {", []),
    "{": ("{", []),
    " ": (" ", []),
}


def read(marked: bool, pieces: list[str]) -> tuple[str, list[str]]:
    reader = CallReader(marked)
    shown = "".join(map(reader.push, pieces))
    rest, calls = reader.finish()
    for call in calls:
        assert json.loads(call.function.arguments) == {"where": "here"}
    return shown + rest, [call.function.name for call in calls]


@pytest.mark.parametrize(("marked", "answers"), [(True, ANSWERS), (False, BARE)])
@given(data=st.data())
def test_the_pieces_do_not_matter(marked: bool, answers: dict[str, Any], data: Any) -> None:
    text = data.draw(st.sampled_from(sorted(answers)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert read(marked, pieces) == answers[text]


def test_text_before_a_call_is_shown_as_it_comes() -> None:
    reader = CallReader(True)

    assert reader.push("I look. <tool") == "I look. " and reader.push("_call>") == ""
