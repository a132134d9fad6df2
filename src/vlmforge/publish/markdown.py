"""Markdown in which no text from outside is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlmforge.text import shown

PUNCTUATION = re.compile(r"[!#$&()*+\-.:;<=>?@\[\\\]^_`{|}~]")
"""What may be markup; CommonMark takes each of it for itself behind a backslash."""


def plain(text: object) -> str:
    """The text as it reads, on one line, wherever in a paragraph, heading or cell it stands."""
    return PUNCTUATION.sub(r"\\\g<0>", shown(text, keep="").strip())


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; every cell is a text from outside."""
    lines = [columns, ["---"] * len(columns), *(map(plain, row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def fenced(language: str, code: str) -> str:
    """A block of code, which no line of the code can end."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown(code).rstrip()}\n{fence}\n"
