"""StopStrings: whatever the pieces, the text before the first stop string and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.decode.stop import StopStrings

LETTERS = st.text("ab", min_size=1, max_size=4)


@given(st.lists(LETTERS, max_size=12), st.lists(LETTERS, max_size=3))
def test_the_pieces_do_not_matter(pieces: list[str], stops: list[str]) -> None:
    found, text, shown = StopStrings(stops), "", ""
    for piece in pieces:
        text += piece
        shown += found.push(piece)
        assert text.startswith(shown) and not any(stop in shown for stop in stops)
        if found.found:
            break
    shown += found.flush()

    ends = [text.index(stop) for stop in stops if stop in text]
    assert shown == text[: min(ends, default=len(text))]
    assert found.found == bool(ends)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["one", " two"], ["one", " two"]),
        (["a.", "\n", "b"], ["a.", "", "\nb"]),
        (["a.\n", "\nb"], ["a.", ""]),
    ],
)
def test_only_what_may_be_its_beginning_is_held_back(pieces: list[str], shown: list[str]) -> None:
    stops = StopStrings(["\n\n"])

    assert [stops.push(piece) for piece in pieces] == shown
