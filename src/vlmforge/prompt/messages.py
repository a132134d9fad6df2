"""Messages as users write them: checked, counted, and what they show in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.errors import RunError
from vlmforge.images.reading import ImageSource
from vlmforge.images.video import Video

Message = Mapping[str, Any]
"""``{"role": str, "content": str | [{"type": "text", "text": ...}, {"type": "image", ...}]}``."""

Tool = Mapping[str, Any]
"""``{"type": "function", "function": {"name": str, "description": str, "parameters": {...}}}``."""

SHOWN = ("image", "video")
"""Types of parts that show something."""

REMOTE = ("http://", "https://")

RATES = ("fps", "sample_fps")
COUNTS = ("num_frames", "min_frames", "max_frames", "min_pixels", "max_pixels")
"""What a part may ask of a video."""

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

    Names of keys and of files that are shown are left out.
    """
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (dict, list, tuple)):
        return 0
    if depth == DEEPEST:
        raise RunError(f"a message nests deeper than {DEEPEST} levels", mend="write it flat")
    if isinstance(value, dict):
        value = () if value.get("type") in SHOWN else tuple(value.values())
    return sum(characters(inner, depth + 1) for inner in value)


def shown_in(messages: Sequence[Message]) -> Iterator[ImageSource | Video]:
    """What the messages show, in order.

    An image is the value of ``image``, ``path`` or ``url`` of its part, a video that of ``video``,
    ``path`` or ``url``, which may be the bytes of a file too.

    Raises:
        RunError: a message or part is not of the documented form, or names a remote file.
    """
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str) or (content is None and message.get("tool_calls")):
            continue
        if not isinstance(content, (list, tuple)):
            raise malformed(message)
        for part in content:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "image":
                yield _image(part)
            elif kind == "video":
                yield _video(part)
            elif kind != "text":
                raise malformed(part)


def _image(part: dict[str, Any]) -> ImageSource:
    source = _source(part, "image")
    if not _is_image(source):
        raise malformed(part)
    return source


def _video(part: dict[str, Any]) -> Video:
    source, asked = _source(part, "video"), _asked(part)
    if isinstance(source, (str, os.PathLike, bytes)):
        if "sample_fps" in asked:
            raise RunError(
                "sample_fps is that of frames; of a file it follows from what is taken",
                where=None if isinstance(source, bytes) else os.fspath(source),
                mend="leave sample_fps out, or ask for frames with fps",
            )
        return Video(source, **asked)
    if not isinstance(source, (list, tuple, np.ndarray)) or not all(map(_is_image, source)):
        raise malformed(part)
    if any(name in asked for name in ("fps", "num_frames", "min_frames", "max_frames")):
        raise RunError(
            "frames are taken as they are given",
            where=", ".join(asked),
            mend="leave fps and numbers of frames out, or give the path of a video file",
        )
    return Video(tuple(source), **asked)


def _asked(part: dict[str, Any]) -> dict[str, Any]:
    """What a part asks of its video; null asks nothing."""
    asked = {n: part[n] for n in (*RATES, *COUNTS) if part.get(n) is not None}
    for name, value in asked.items():
        kinds = (int, float) if name in RATES else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1 << 31:
            raise RunError(
                f"{name} of a video is {value!r}",
                mend=f"give {name} as a {'number' if name in RATES else 'whole number'} above 0",
            )
    if "fps" in asked and "num_frames" in asked:
        raise RunError("a video has both fps and num_frames", mend="give one of them")
    return asked


def _source(part: dict[str, Any], key: str) -> Any:
    source = next((part[name] for name in (key, "path", "url") if name in part), None)
    frames = source if isinstance(source, (list, tuple)) else [source]
    remote = [each for each in frames if isinstance(each, str) and each.startswith(REMOTE)]
    if remote:
        raise RunError(f"remote {key}s are not fetched", where=remote[0], mend="download it first")
    return source


def _is_image(source: object) -> bool:
    return isinstance(source, (Image.Image, np.ndarray, str, os.PathLike))


def malformed(part: object) -> RunError:
    """The error about a message, or a part of one, that is not of the documented form."""
    return RunError(
        "a message is not of a known form",
        where=repr(part)[:200],
        mend='content is a text or a list of {"type": "text", "text": TEXT}, '
        '{"type": "image", "image": FILE} and {"type": "video", "video": FILE or FRAMES}',
    )
