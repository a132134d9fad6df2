"""Video: a file or frames, with what its sender asks of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlmforge.images.reading import ImageSource

VideoSource = str | os.PathLike[str] | bytes | Sequence[ImageSource]
"""The path of a video file, the bytes of one, or frames."""


@dataclass(frozen=True)
class Video:
    """A video, and what is asked of it instead of what is usual.

    Attributes:
        source: a file, or its frames, all of which are taken.
        fps: frames a second that are taken of a file.
        num_frames: frames that are taken of a file, whatever its length.
        min_frames, max_frames: bounds of what ``fps`` gives.
        min_pixels, max_pixels: of a frame.
        sample_fps: how many a second frames were taken at, for models that tell the time;
            None if unknown.
    """

    source: VideoSource
    fps: float | None = None
    num_frames: int | None = None
    min_frames: int | None = None
    max_frames: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    sample_fps: float | None = None

    @property
    def is_file(self) -> bool:
        """Whether the source is a file, by its path or as its bytes."""
        return isinstance(self.source, (str, os.PathLike, bytes))

    @property
    def sampling(self) -> dict[str, Any]:
        """What is asked of the choice of frames, by the names of :class:`FrameSampling`."""
        names = ("fps", "num_frames", "min_frames", "max_frames")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
