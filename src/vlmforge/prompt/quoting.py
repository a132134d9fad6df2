"""Quoting: special tokens that users write are text; those of the template are structure.

Users' special tokens are put between two marks before the template is rendered, and found by them
in what it rendered. The idea is that of ``sanitize_control_tokens`` in transformers 5.23.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters of Unicode: no text that is meant to be exchanged has them."""


class Piece(NamedTuple):
    """A part of a prompt.

    Attributes:
        text: without marks.
        quoted: whether it is a special token that a user wrote.
    """

    text: str
    quoted: bool


class Quoting:
    """Marks special tokens and finds the marks again.

    Args:
        tokens: the texts of all special tokens.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        found = sorted(set(filter(None, tokens)), key=len, reverse=True)
        pattern = "|".join(map(re.escape, found)) or "(?!)"
        self._token = re.compile(pattern)
        self._marks = re.compile(f"{OPEN}({pattern}){CLOSE}|[{OPEN}{CLOSE}]")
        self._beginnings = {token[:end] for token in found for end in range(1, len(token))}
        self._longest = len(found[0]) if found else 0

    def quote(self, value: Any) -> Any:
        """The value with all texts within it marked, or itself if there is nothing to mark."""
        return self._marked(value) if self._is_concerned(value) else value

    def pieces(self, text: str, marked: bool) -> list[Piece]:
        """What a template made of a value: its pieces, which join to the whole text.

        A mark without its other half, from which a template cut the token, parts the text only
        where a special token would come about.

        Args:
            text: as rendered.
            marked: whether :meth:`quote` marked the value.
        """
        if not marked:
            return [Piece(text, False)]
        first, *others = self._marks.split(text)
        pieces = [Piece(first, False)]
        for quoted, following in zip(others[::2], others[1::2], strict=True):
            if quoted is not None:
                pieces.append(Piece(quoted, True))
            last = pieces[-1]
            if quoted is None and not last.quoted and not self._joins(last.text, following):
                pieces[-1] = Piece(last.text + following, False)
            else:
                pieces.append(Piece(following, False))
        return [piece for piece in pieces if piece.text]

    def _joins(self, left: str, right: str) -> bool:
        """Whether side by side, two texts have a special token across their border."""
        left = left[-self._longest :]
        found = self._token.finditer(left + right[: self._longest])
        return any(match.start() < len(left) < match.end() for match in found)

    def _is_concerned(self, value: Any) -> bool:
        if isinstance(value, str):
            return self._token.search(value) is not None or self._has_begun(value)
        if isinstance(value, dict):
            return any(map(self._is_concerned, (*value, *value.values())))
        return isinstance(value, (list, tuple)) and any(map(self._is_concerned, value))

    def _marked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._marked_text(value.replace(OPEN, "").replace(CLOSE, ""))
        if isinstance(value, dict):
            return {self._marked(key): self._marked(inner) for key, inner in value.items()}
        return list(map(self._marked, value)) if isinstance(value, (list, tuple)) else value

    def _marked_text(self, text: str) -> str:
        end, border = len(text), ""
        if self._has_begun(text):
            end, border = len(text.rstrip()), CLOSE
        return self._token.sub(rf"{OPEN}\g<0>{CLOSE}", text[:end]) + border + text[end:]

    def _has_begun(self, text: str) -> bool:
        """Whether a part of a special token stands at the end, perhaps before white space.

        The next text of a user, put behind it by a template, might have the rest.
        """
        end = text.rstrip()[-self._longest :]
        return any(end[start:] in self._beginnings for start in range(len(end)))
