"""Text from outside: made well-formed, and shown without what a terminal would obey."""

from __future__ import annotations

import re

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: a byte that is not UTF-8 as Python keeps it, or a character cut in two."""

OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters; with an escape, sequences begin
    "\u202a-\u202e\u2066-\u2069"  # change the direction of what follows
    "\u2028\u2029\ufeff"  # line ends and a mark that nobody sees
    "\ud800-\udfff]"
)
"""What a terminal obeys instead of showing it, or cannot be written to one."""

REPLACEMENT = "\ufffd"
PICTURES = 0x2400
"""Where Unicode has pictures of the 32 control characters."""


def well_formed(text: str) -> str:
    """The text with U+FFFD for every lone surrogate."""
    return SURROGATE.sub(REPLACEMENT, text)


def shown(text: object, keep: str = "\n\t") -> str:
    """The text with all that a terminal would obey made visible, but for what is kept.

    Control characters become their pictures, such as ``␛``; others their number, ``<U+202E>``.
    """
    return OBEYED.sub(lambda match: match[0] if match[0] in keep else _picture(match[0]), str(text))


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(PICTURES + code)
    if SURROGATE.match(character):
        return REPLACEMENT
    return "␡" if code == 0x7F else f"<U+{code:04X}>"
