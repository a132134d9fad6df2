"""Nothing a terminal would obey is shown as it is, and half a character is replaced."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from vlmforge.text import OBEYED, shown, well_formed

ANY = st.text(st.characters(exclude_categories=()))


@given(ANY)
def test_well_formed_text_can_be_encoded(text: str) -> None:
    assert len(well_formed(text)) == len(text)
    assert well_formed(text).encode("utf-8").decode("utf-8") == well_formed(text)


@given(ANY)
def test_nothing_obeyed_remains(text: str) -> None:
    made = shown(text)
    assert OBEYED.search(made.replace("\n", "").replace("\t", "")) is None
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in made if c not in "\n\t")
    assert OBEYED.search(shown(text, keep="")) is None


def test_what_is_ordinary_stays() -> None:
    text = "Größe 한국어 👩‍👩‍👧 [red]x[/red] :smile: ×−\n\ttab"
    assert shown(text) == text


def test_what_is_shown_instead() -> None:
    assert shown("\x1b[31m\a\r\x7f") == "␛[31m␇␍␡"
    assert shown("a\u202eb\x9b") == "a<U+202E>b<U+009B>"
    assert shown("\ud83d") == "\ufffd"
    assert shown("a\nb", keep="") == "a␊b"
