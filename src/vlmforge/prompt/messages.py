"""Messages as users write them: checked, counted, and their images in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from vlmforge.errors import RunError
from vlmforge.images.reading import ImageSource

Message = Mapping[str, Any]
"""``{"role": str, "content": str | [{"type": "text", "text": ...}, {"type": "image", ...}]}``."""

DEEPEST = 64
"""Levels of lists and dictionaries in a message."""


def read_messages(messages: Iterable[Message]) -> list[Message]:
    """The messages, which may come from a generator, as a list.

    Raises:
        RunError: they cannot be iterated, one is no dictionary, or nests too deeply.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise malformed(messages)
    found = list(messages)
    for message in found:
        if not isinstance(message, dict):
            raise malformed(message)
    return found


def characters(value: object, depth: int = 0) -> int:
    """How many characters all texts within messages have together; RunError if too nested.

    Names of keys and of image files are left out.
    """
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (dict, list, tuple)):
        return 0
    if depth == DEEPEST:
        raise RunError(f"a message nests deeper than {DEEPEST} levels", mend="write it flat")
    if isinstance(value, dict):
        value = () if value.get("type") == "image" else tuple(value.values())
    return sum(characters(inner, depth + 1) for inner in value)


def images_of(messages: Sequence[Message]) -> Iterator[ImageSource]:
    """The images of the messages in order: values of ``image``, ``path`` or ``url`` of a part.

    Raises:
        RunError: a message or part is not of the documented form, or names a remote image.
    """
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            continue
        if not isinstance(content, (list, tuple)):
            raise malformed(message)
        for part in content:
            if not isinstance(part, dict) or part.get("type") not in ("text", "image"):
                raise malformed(part)
            if part["type"] == "image":
                yield _image(part)


def _image(part: dict[str, Any]) -> ImageSource:
    source = next((part[key] for key in ("image", "path", "url") if key in part), None)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        raise RunError("remote images are not fetched", where=source, mend="download it first")
    if not isinstance(source, (Image.Image, str, os.PathLike)):
        raise malformed(part)
    return source


def malformed(part: object) -> RunError:
    """The error about a message, or a part of one, that is not of the documented form."""
    return RunError(
        "a message is not of a known form",
        where=repr(part)[:200],
        mend='content is a text or a list of {"type": "text", "text": TEXT} and '
        '{"type": "image", "image": FILE}',
    )
