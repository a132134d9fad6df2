"""What is printed is text, whatever it looks like."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from vlmforge.console import output
from vlmforge.console.progress import progress

NASTY = "[red]a[/red] [/oops] \x1b]0;owned\a :smile: \u202etxt"
SEEN = "[red]a[/red] [/oops] ␛]0;owned␇ :smile: <U+202E>txt"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a wide terminal without colors shows."""
    file = io.StringIO()
    for name in ("OUTPUT", "ERRORS"):
        settings = {"highlight": False, "markup": False, "emoji": False, "width": 200}
        monkeypatch.setattr(output, name, Console(file=file, **settings))
    return file


def test_tables_show_text_as_it_is(screen: io.StringIO) -> None:
    output.print_table(NASTY, (NASTY, "b"), [(NASTY, 1), ("x", NASTY)])
    output.print_facts(NASTY, {NASTY: NASTY})
    assert screen.getvalue().count(SEEN) == 7


def test_lines_show_text_as_it_is(screen: io.StringIO) -> None:
    output.print_text(NASTY)
    output.warn(NASTY)
    assert screen.getvalue() == f"{SEEN}\n{SEEN}\n"


def test_json_keeps_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    value = {NASTY: ["\x9b한국어\n", "\ud83d"]}
    output.print_json(value)
    printed = capsys.readouterr().out
    assert not any(mark in printed for mark in "\x1b\x9b\u202e") and "한국어" in printed
    assert json.loads(printed) == {NASTY: ["\x9b한국어\n", "\ufffd"]}


def test_progress_names_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        report(NASTY, 1, 2)
        report(NASTY, 2, 2)
    assert "[/oops]" in capsys.readouterr().err
