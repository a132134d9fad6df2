"""Clips: videos whose slices are shown one by one, each behind the time it was taken at.

As Qwen3-VL takes them: frames are spread from the first to the last, and the pixels of all frames
together have bounds (transformers' ``Qwen3VLVideoProcessor`` and ``Qwen3VLProcessor``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmforge.errors import ImageError, VideoError
from vlmforge.images.pictures import LONGEST, NativeResolution, Pictures

TIMED = "timed"
"""What a vision program's ``meta`` says of ``videos`` that are clips."""

UNSEEN = "unseen"
"""What it says of them where none are seen."""

USUAL_RATE = 24.0
"""Frames a second of a video that does not say, as in transformers."""


@dataclass(frozen=True)
class EvenSampling:
    """How many frames are taken of a video, from the first to the last.

    Attributes:
        fps: frames a second, bounded by ``min_frames`` and ``max_frames``.
        num_frames: of a video, whatever its length; it counts before ``fps``.
        min_frames, max_frames: bounds.
    """

    fps: float
    num_frames: int | None = None
    min_frames: int = 4
    max_frames: int = 768

    def indexes(self, total: int, rate: float | None) -> np.ndarray:
        """The frames taken, int64 ``[n]`` ascending, those of transformers' ``sample_frames``.

        Args:
            total: frames of the video, at least one.
            rate: of them a second, None if unknown.

        Raises:
            VideoError: the video has fewer frames than are asked for.
        """
        if self.num_frames is not None and self.num_frames > total:
            raise VideoError(
                f"the video has {total} frames, {self.num_frames} are asked for",
                mend=f"give a num_frames of at most {total}, or an fps",
            )
        count = self.num_frames or self._of_rate(total, rate or USUAL_RATE)
        return np.linspace(0, total - 1, count).round().astype(np.int64)

    def _of_rate(self, total: int, rate: float) -> int:
        wanted = int(total / rate * self.fps)
        return min(max(wanted, self.min_frames), self.max_frames, total)


def moments(indexes: np.ndarray, rate: float | None, time: int) -> tuple[float, ...]:
    """When each slice was taken, in seconds: halfway between its first and its last frame.

    Args:
        indexes: int64 ``[frames]``; the last is repeated until the last slice is whole.
        rate: frames a second, None if unknown.
        time: frames of a slice.
    """
    whole = [*indexes.tolist(), *[int(indexes[-1])] * (-len(indexes) % time)]
    seconds = [index / (rate or USUAL_RATE) for index in whole]
    starts = range(0, len(seconds), time)
    return tuple((seconds[at] + seconds[at + time - 1]) / 2 for at in starts)


BEFORE, BEHIND = "<|vision_start|>", "<|vision_end|>"
"""Around each slice."""


def timed_labels(moments: Sequence[float]) -> tuple[str, ...]:
    """The text before each slice, which tells its time, and that behind the last."""
    times = [f"<{moment:.1f} seconds>{BEFORE}" for moment in moments]
    return (times[0], *(f"{BEHIND}{time}" for time in times[1:]), BEHIND)


@dataclass(frozen=True)
class ClipBudget:
    """How large the frames of a clip are.

    Attributes:
        least, most: pixels of all frames together; None where nothing is said.
        tokens: most of a frame, where frames have bounds of their own.
    """

    least: int | None
    most: int | None
    tokens: int | None = None

    def size(self, pictures: Pictures, height: int, width: int, frames: int) -> tuple[int, int]:
        """Height and width of every frame, in pixels.

        Args:
            pictures: those that the vision program reads; where their sizes have bounds, no frame
                has more pixels than an image.
            height, width: of a frame of the video.
            frames: that are taken.

        Raises:
            ImageError: frames of this shape are not possible.
        """
        if not isinstance(pictures, NativeResolution) or not pictures.do_resize:
            return pictures.size(height, width)
        least = max(self.least or 0, pictures.layout.side**2)
        most = min(self._most(pictures, frames), pictures.max_pixels * frames)
        time = pictures.layout.temporal_patch_size
        found = clip_resize(frames, height, width, pictures.layout.side, least, most, time)
        return pictures.require(found, height, width)

    def _most(self, pictures: NativeResolution, frames: int) -> int:
        whole = self.most or pictures.max_pixels * frames
        if self.tokens is None:
            return whole
        own = min(self.tokens * pictures.layout.side**2, whole // frames)
        return max(own, int((self.least or 0) * 1.05)) * frames


def clip_resize(
    frames: int, height: int, width: int, factor: int, least: int, most: int, time: int
) -> tuple[int, int]:
    """The nearest multiples of ``factor`` for which all frames have so many pixels.

    transformers' ``smart_resize`` for videos.

    Args:
        frames: of the clip; fewer than a slice has count as one slice.
        height, width: in pixels.
        factor: of which both become multiples.
        least, most: pixels of all frames.
        time: frames of a slice.

    Raises:
        ImageError: a frame has no pixels, or is more than :data:`LONGEST` times as long as wide.
    """
    if height < 1 or width < 1:
        raise ImageError(f"frames of {height} x {width} pixels have none", mend="give others")
    frames = max(frames, time)
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) / min(height, width) > LONGEST:
        raise ImageError(
            f"frames of {height} x {width} pixels are more than {LONGEST} times as long as wide",
            mend="cut the video",
        )
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    whole = round(frames / time) * time * rows * columns
    if whole > most:
        beta = math.sqrt((frames * height * width) / most)
        rows = max(factor, math.floor(height / beta / factor) * factor)
        columns = max(factor, math.floor(width / beta / factor) * factor)
    elif whole < least:
        beta = math.sqrt(least / (frames * height * width))
        rows = math.ceil(height * beta / factor) * factor
        columns = math.ceil(width * beta / factor) * factor
    return rows, columns
