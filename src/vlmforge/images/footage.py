"""Footage: the frames of a video, from a file or from a caller, bounded before they are decoded."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image

from vlmforge.errors import VideoError, VlmforgeError
from vlmforge.images.reading import LONGEST_SIDE, MOST_PIXELS, ImageSource, read_image, regular_file
from vlmforge.images.video import VideoSource

FORMATS = ("MP4", "MOV", "MKV", "WebM", "AVI", "GIF")
"""What is read; others may name further files."""

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif"
"""The same, as FFmpeg calls it."""

OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
"""Lets FFmpeg open no other file than the one it is given."""

MOST_BYTES = 1 << 30
"""Of a video file."""

MOST_FRAMES = 1 << 17
"""Of a video, an hour at 30 frames a second and more."""

MOST_SECONDS = 3600
"""Of a video."""

MOST_DECODED = 1 << 37
"""Pixels of all frames of a video: half an hour in 1080p at 30 frames a second."""

INSTALL = 'install it: pip install "vlmforge[video]", or give the frames as images'
NAME = "name an existing video file: " + ", ".join(FORMATS)
SHORTER = "cut the video, or give its frames as images"


class Footage(Protocol):
    """The frames of a video that is open."""

    @property
    def frames(self) -> int:
        """How many, as far as the file knows."""
        ...

    @property
    def rate(self) -> float | None:
        """Of them a second, None if unknown."""
        ...

    @property
    def height(self) -> int:
        """Of the first, upright, in pixels."""
        ...

    @property
    def width(self) -> int:
        """Of the first, upright, in pixels."""
        ...

    def chosen(self, indexes: np.ndarray) -> Iterator[Image.Image]:
        """The frames of these ascending indexes, as far as they exist, upright in RGB; once."""
        ...


@contextmanager
def open_video(source: VideoSource) -> Iterator[Footage]:
    """The frames of a file or of a sequence.

    Raises:
        VideoError: a file is missing, no regular file, none of :data:`FORMATS`, damaged or larger
            than is allowed, there are no frames, or PyAV is not installed.
        ImageError: a frame cannot be read.
    """
    if not isinstance(source, (str, os.PathLike, bytes)):
        yield _Sequence.of(source)
        return
    where = None if isinstance(source, bytes) else source
    av = _decoder(where)
    with _told(where), _opened(source) as (file, size):
        if size > MOST_BYTES:
            raise _too_large(f"the video file is larger than {MOST_BYTES >> 20} MB")
        with av.open(file, options=OPTIONS) as container:
            yield _File.of(container)


def _opened(
    source: str | os.PathLike[str] | bytes,
) -> AbstractContextManager[tuple[BinaryIO, int]]:
    """A file's bytes, to be read, and how many there are."""
    if isinstance(source, bytes):
        return nullcontext((io.BytesIO(source), len(source)))
    return regular_file(source)


def _decoder(where: object) -> Any:
    try:
        import av
    except ImportError as error:
        raise VideoError(
            "videos are decoded by PyAV, which is not installed", where=where, mend=INSTALL
        ) from error
    return av


@contextmanager
def _told(where: object) -> Iterator[None]:
    """Whatever PyAV raises within is told as a :class:`VideoError`."""
    try:
        yield
    except VlmforgeError as error:
        if error.where is not None:
            raise
        raise type(error)(error.what, where=where, mend=error.mend) from error
    except MemoryError as error:
        what = "the memory does not suffice for the video"
        raise VideoError(what, where=where, mend=SHORTER) from error
    except Exception as error:  # damaged files make FFmpeg raise errors of any kind
        said = getattr(error, "strerror", None) or error
        what = f"the video cannot be decoded: {said}"
        raise VideoError(what, where=where, mend=NAME) from error


@dataclass
class _Sequence:
    """Frames that a caller has."""

    sources: Sequence[ImageSource]
    first: Image.Image
    rate: None = None

    @staticmethod
    def of(sources: Sequence[ImageSource]) -> _Sequence:
        if len(sources) == 0:
            raise VideoError("the video has no frames", mend="give at least one frame")
        if len(sources) > MOST_FRAMES:
            raise _too_large(f"the video has {len(sources)} frames, at most {MOST_FRAMES} are read")
        return _Sequence(sources, read_image(sources[0]))

    @property
    def frames(self) -> int:
        return len(self.sources)

    @property
    def height(self) -> int:
        return self.first.height

    @property
    def width(self) -> int:
        return self.first.width

    def chosen(self, indexes: np.ndarray) -> Iterator[Image.Image]:
        for index in indexes.tolist():
            frame = read_image(self.sources[index]) if index else self.first
            if frame.size != self.first.size:
                raise VideoError(
                    f"frame {index + 1} has {frame.height} x {frame.width} pixels, the first "
                    f"{self.height} x {self.width}",
                    mend="give frames of one size",
                )
            yield frame


@dataclass
class _File:
    """Frames that are decoded one after another."""

    decoded: Iterator[Any]
    frames: int
    rate: float | None
    height: int
    width: int

    @staticmethod
    def of(container: Any) -> _File:
        if not container.streams.video:
            raise VideoError("the file has no video in it", mend=NAME)
        stream = container.streams.video[0]
        _check_size(stream.codec_context.width, stream.codec_context.height)
        rate = stream.average_rate or stream.guessed_rate
        count = stream.frames or _counted(container, stream)
        _check_length(count, float(rate) if rate else None, stream)
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        decoded = container.decode(stream)
        if (first := next(decoded, None)) is None:
            raise VideoError("the video has no frames", mend=NAME)
        height, width = _upright(first).shape[:2]
        frames = chain([first], decoded)
        return _File(frames, max(count, 1), float(rate) if rate else None, height, width)

    def chosen(self, indexes: np.ndarray) -> Iterator[Image.Image]:
        wanted = iter(indexes.tolist())
        next_wanted = next(wanted, None)
        for index, frame in enumerate(self.decoded):
            if next_wanted is None:
                return
            if index == next_wanted:
                _check_size(frame.width, frame.height)
                yield Image.fromarray(_upright(frame))
                next_wanted = next(wanted, None)


def _counted(container: Any, stream: Any) -> int:
    """Frames of a file that does not say how many it has, without decoding them."""
    count = 0
    for packet in container.demux(stream):
        count += packet.size > 0
        if count > MOST_FRAMES:
            break
    container.seek(0)
    return count


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise _too_large(
            f"the video has {width} x {height} pixels, at most {MOST_PIXELS // 10**6} million are "
            f"read, and {LONGEST_SIDE} a side"
        )


def _check_length(frames: int, rate: float | None, stream: Any) -> None:
    pixels = frames * stream.codec_context.width * stream.codec_context.height
    if frames > MOST_FRAMES or pixels > MOST_DECODED:
        raise _too_large(
            f"the video has {frames} frames of {stream.codec_context.width} x "
            f"{stream.codec_context.height} pixels, at most {MOST_FRAMES} are decoded, and "
            f"{MOST_DECODED // 10**9} billion pixels"
        )
    if rate and frames / rate > MOST_SECONDS:
        raise _too_large(
            f"the video lasts {frames / rate:.0f} seconds, at most {MOST_SECONDS} are read"
        )


def _too_large(what: str) -> VideoError:
    return VideoError(what, mend=SHORTER)


def _upright(frame: Any) -> np.ndarray:
    """uint8 ``[height, width, 3]``, turned as the file says."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
