"""Output: all that is printed passes here, and nothing in it is markup or a control sequence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from vlmforge.text import OBEYED, REPLACEMENT, SURROGATE, shown

ERRORS = Console(stderr=True, highlight=False, markup=False, emoji=False)
OUTPUT = Console(highlight=False, markup=False, emoji=False)


def print_text(text: str) -> None:
    """Write one paragraph to standard output, not wrapped."""
    OUTPUT.print(shown(text), soft_wrap=True)


def warn(text: str) -> None:
    """Write one paragraph to standard error, not wrapped; progress bars stay whole."""
    ERRORS.print(shown(text), soft_wrap=True)


def print_json_line(value: object) -> None:
    """Write one JSON document to standard output, at once, as a line of ASCII."""
    print(OBEYED.sub(lambda match: _escaped(match[0]), json.dumps(value)), flush=True)


def print_json(value: object) -> None:
    """Write one JSON document to standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(OBEYED.sub(lambda match: match[0] if match[0] == "\n" else _escaped(match[0]), text))


def _escaped(character: str) -> str:
    """As JSON writes a character in ASCII."""
    return f"\\u{ord(SURROGATE.sub(REPLACEMENT, character)):04x}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to standard output."""
    folded = (Column(Text(shown(name)), overflow="fold") for name in columns)
    table = Table(*folded, title=Text(shown(title)), title_justify="left")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    OUTPUT.print(table)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """Write names and values as a table of two columns."""
    print_table(title, ("", ""), list(facts.items()))
