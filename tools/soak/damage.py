"""Damages bytes and JSON documents."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    -(2**63),
)
FLOATS = (0.0, -0.0, 0.5, 1e-45, 1e38, 1e308, float("nan"), float("inf"), -float("inf"))
TEXTS = ("", " ", "a", "seq", "é", "\ud83d", "\0", "../..", "/etc/passwd", "1", "true", "x" * 5000)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")


def damaged_bytes(rng: random.Random, content: bytes) -> bytes:
    """The bytes with some of them changed, cut, repeated or inserted."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(found) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64))
        change = rng.randrange(6)
        if change <= 1 and found:
            found[min(at, len(found) - 1)] = rng.randrange(256)
        elif change == 2:
            found[at : at + size] = rng.randbytes(size)
        elif change == 3:
            del found[at : at + size]
        elif change == 4:
            found[at:at] = found[at : at + 64] or b"\xff"
        else:
            found[at : at + 8] = rng.choice(NUMBERS[:12]).to_bytes(9, "little", signed=True)[:8]
    if rng.random() < 0.1:
        del found[rng.randrange(len(found) + 1) :]
    return bytes(found)


def damaged_value(rng: random.Random, value: Any) -> Any:
    """A JSON value of another type or size."""
    changes: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(NUMBERS),
        lambda: rng.choice(FLOATS),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice((None, True, False, [], {}, [[]], {"": {}})),
        lambda: [value],
        lambda: [value] * rng.choice((2, 3, 300)),
        lambda: {"a": value},
        lambda: str(value),
        lambda: nested(rng.choice((5, 50, 250))),
        lambda: value * rng.choice((-1, 2, 1000)) if isinstance(value, (int, float)) else None,
        lambda: value[: len(value) // 2] if isinstance(value, (str, list)) else value,
    )
    return rng.choice(changes)()


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def damaged_json(rng: random.Random, document: Any) -> Any:
    """The document with one to three of its values changed, removed, exchanged or renamed."""
    document = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return damaged_value(rng, document)
        holder, key = rng.choice(places)
        change = rng.randrange(8)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = holder.pop(key)
        elif change == 2:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        else:
            holder[key] = damaged_value(rng, holder[key])
    return document


def _places(value: Any) -> Any:
    """Every container of a document with each of its keys."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def damaged_document(rng: random.Random, document: Any) -> bytes:
    """A JSON file whose values, text, encoding or bytes are damaged."""
    change = rng.random()
    if change < 0.75:
        return _text(damaged_json(rng, document))
    text = _text(document)
    if change < 0.85:
        return damaged_bytes(rng, text)
    if change < 0.92:
        return text.decode().encode(rng.choice(ENCODINGS), "replace")
    odd = (b"", b" ", b"null", b"[]", b"{}", b'"', b"[" * 100_000, b'{"a":' * 20_000, b"1" * 5000)
    twice = b'{"a": 1, ' * 3 + text[1:]
    return rng.choice((*odd, text[: rng.randrange(len(text))], twice, b"\xff\xfe" + text))


def _text(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "replace")
