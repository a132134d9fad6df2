"""FrameSampling: which frames of a video are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vlmforge.errors import VideoError

USUAL_FPS = 2.0
"""Frames a second where nothing is said of them, as Qwen2-VL was trained with."""


@dataclass(frozen=True)
class FrameSampling:
    """How many frames are taken of a video, spread evenly over it.

    Attributes:
        fps: frames a second, bounded by ``min_frames`` and ``max_frames``.
        num_frames: of a video, whatever its length; it counts before ``fps``.
        min_frames, max_frames: bounds.
        factor: of which the number of frames is a multiple, where the video has that many.
    """

    fps: float = USUAL_FPS
    num_frames: int | None = None
    min_frames: int = 4
    max_frames: int = 768
    factor: int = 2

    def indexes(self, total: int, rate: float | None) -> np.ndarray:
        """The frames taken, int64 ``[n]`` ascending, those of Hugging Face's ``sample_frames``.

        It computes in float32, which above 20000 frames may give the frame beside.

        Args:
            total: frames of the video, at least one.
            rate: of them a second, None if unknown.

        Raises:
            VideoError: the video has fewer frames than are asked for, or no known rate.
        """
        count = self._of_rate(total, rate) if self.num_frames is None else self._wanted(total)
        count = count or min(self.factor, total)
        return np.arange(count) * total // count

    def _wanted(self, total: int) -> int:
        assert self.num_frames is not None
        count = round(self.num_frames / self.factor) * self.factor
        if count > total:
            raise VideoError(
                f"the video has {total} frames, {count} are asked for",
                mend=f"give a num_frames of at most {total}, or an fps",
            )
        return count

    def _of_rate(self, total: int, rate: float | None) -> int:
        if rate is None:
            raise VideoError("the video does not say its frame rate", mend="give num_frames")
        most = self._whole(min(self.max_frames, total))
        return self._whole(min(max(total / rate * self.fps, self.min_frames), most, total))

    def _whole(self, count: float) -> int:
        return math.floor(count / self.factor) * self.factor
