"""What is said of long work fits the terminal, in characters that it has."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from vlmforge.bench.watch import Memory
from vlmforge.console.course import View
from vlmforge.console.wording import cut, moving_line, stage_line

VIEW = View("mxq language", 4, 9, "rounding", 3, 28, 123, 2400, 7200)
MEMORY = Memory(1_300_000_000, 2_000_000_000)


def test_all_is_said_in_one_line() -> None:
    assert moving_line(VIEW, MEMORY) == (
        "[4/9] mxq language: rounding 3/28; 2 min so far, about 40 min left, about 2.0 h for all; "
        "memory 1.3 GB, at most 2.0 GB so far"
    )
    assert stage_line(VIEW, MEMORY) == (
        "[4/9] mxq language: done in 2 min; memory 1.3 GB, at most 2.0 GB so far"
    )


def test_what_is_not_known_is_not_said() -> None:
    view = View(None, 0, 0, "evaluating", 1, 2, 3, None, None)
    assert moving_line(view, None) == "evaluating 1/2; 3 s so far"
    assert moving_line(View(None, 0, 9, None, 0, 0, 0, None, None), None) == ""


def test_names_are_text() -> None:
    view = View("a\x1b]0;owned\a", 1, 1, "b\n\x9bc", 1, 2, 3, None, None)
    assert not any(mark in moving_line(view, None) for mark in "\x1b\a\n\x9b")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "euc-kr"])
@pytest.mark.parametrize("text", ["rounding 3/28", "가중치를 반올림하는 중 3/28", "a가" * 30])
def test_lines_are_cut_at_their_width(text: str, encoding: str) -> None:
    said = text.encode(encoding, "replace").decode(encoding)
    rest = "…" if encoding == "utf-8" else "..."
    for width in range(1, 99):
        line = cut(text, width, encoding)
        line.encode(encoding)
        if cell_len(said) <= width:
            assert line == said
        else:
            kept = line.removesuffix(rest)
            assert cell_len(line) <= width
            assert said.startswith(kept) or width <= len(rest)


def test_a_line_is_cut_before_a_wide_character() -> None:
    assert cut("가나다라", 7, "utf-8") == "가나다…"
    assert cut("가나다라", 6, "utf-8") == "가나…"
    assert cut("가나다라", 7, "euc-kr") == "가나..."
    assert cut("가나다라", 4, "ascii") == "????"
