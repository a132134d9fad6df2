"""Streamed text never splits a character and adds up to the decoded sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_tokenizer, special_id
from vlmforge.decode.stream import INCOMPLETE, TextStream

TOKENIZER = make_tokenizer()


def stream(token_ids: list[int]) -> list[str]:
    texts = TextStream(TOKENIZER)
    return [texts.push(token) for token in token_ids] + [texts.flush()]


@given(st.text(max_size=12))
def test_text_comes_in_whole_characters(text: str) -> None:
    token_ids = TOKENIZER.encode(text).ids

    deltas = stream(token_ids)

    assert "".join(deltas) == TOKENIZER.decode(token_ids)
    assert INCOMPLETE in text or not any(INCOMPLETE in delta for delta in deltas)


@given(st.lists(st.integers(0, special_id("<|im_end|>")), max_size=12))
def test_any_tokens_add_up(token_ids: list[int]) -> None:
    assert "".join(stream(token_ids)) == TOKENIZER.decode(token_ids)


def test_a_character_of_four_bytes_waits_for_the_last() -> None:
    assert stream(TOKENIZER.encode("🙂").ids) == ["", "", "", "🙂", ""]


def test_an_unfinished_character_is_shown_at_the_end() -> None:
    assert stream(TOKENIZER.encode("a🙂").ids[:-1])[-1] == INCOMPLETE
