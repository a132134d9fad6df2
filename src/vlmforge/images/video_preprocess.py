"""VideoPreprocessor: frames of a video become what the vision program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlmforge.errors import VideoError
from vlmforge.formats.settings import VideoSettings
from vlmforge.images.clip import TIMED, USUAL_RATE, ClipBudget, EvenSampling, moments, timed_labels
from vlmforge.images.footage import Footage, open_video
from vlmforge.images.preprocess import LONGER, ImagePreprocessor, tokens_beyond
from vlmforge.images.sampling import USUAL_FPS, FrameSampling
from vlmforge.images.video import Video
from vlmforge.images.visual import Frames

FEWER = f"give the video a smaller max_frames, fps or max_pixels, cut it, or {LONGER}"


@dataclass(frozen=True)
class VideoPreprocessor:
    """Takes frames of videos, and prepares them as if they were images.

    Attributes:
        images: prepares a frame.
        sampling: which are taken of a file, unless the video asks for others.
        most_tokens: for which frames of a long video are made smaller; None for any number.
        clip: sizes of videos whose slices are shown one by one; None where they are shown at once.
        tokens_per_second: positions of a second; None where each slice has one.
    """

    images: ImagePreprocessor
    sampling: FrameSampling | EvenSampling
    most_tokens: int | None = None
    clip: ClipBudget | None = None
    tokens_per_second: int | None = None

    @staticmethod
    def of(meta: Mapping[str, Any], settings: VideoSettings) -> VideoPreprocessor:
        """The preprocessor of a vision program and the settings of a processor."""
        images = ImagePreprocessor.of(meta, settings)
        if meta.get("videos") == TIMED:
            return _timed(images, settings)
        sampling = FrameSampling(
            settings.fps or USUAL_FPS,
            settings.num_frames,
            settings.min_frames,
            settings.max_frames,
            images.layout.temporal_patch_size,
        )
        most = settings.max_video_tokens if settings.cap_pixels_per_frame else None
        pace = meta.get("tokens_per_second")
        return VideoPreprocessor(images, sampling, most, tokens_per_second=pace)

    def __call__(self, video: Video, room: int | None = None) -> Frames:
        """A video as the vision program reads it; an odd number of frames repeats the last.

        Args:
            video: to be read.
            room: most tokens it may have, None for any number.

        Raises:
            VideoError: it is missing, cannot be decoded, has no frames, is too long, has fewer
                frames than are asked for, or more tokens than there is room for.
            ImageError: a frame cannot be read, or is of a shape that is not possible.
        """
        with open_video(video.source) as footage:
            indexes = self._indexes(video, footage)
            size = self._size(video, footage, len(indexes))
            if excess := tokens_beyond(self.images.layout.grid(len(indexes), *size), room):
                raise VideoError(f"the video has {excess}", mend=FEWER)
            frames = [self.images.resize(frame, size) for frame in footage.chosen(indexes)]
            rate = footage.rate if video.is_file else video.sample_fps
            time = self.images.layout.temporal_patch_size
            share = len(indexes) / footage.frames
            pace = self.pace(time / (share * rate if rate else USUAL_RATE))
        found = self.images.frames(frames + frames[-1:] * (-len(frames) % time), pace)
        if self.clip is None:
            return found
        taken = moments(indexes[: len(frames)], rate, time)
        return replace(found, moments=taken, labels=timed_labels(taken))

    def pace(self, seconds: float) -> float:
        """Positions from a slice to the next, which begins so many seconds later.

        They are computed in float32, as by transformers' ``get_rope_index``.
        """
        if self.tokens_per_second is None:
            return 1.0
        return float(np.float32(self.tokens_per_second) * np.float32(seconds))

    def _indexes(self, video: Video, footage: Footage) -> np.ndarray:
        if not video.is_file:
            return np.arange(footage.frames)
        asked = video.sampling
        if "fps" in asked:
            asked.setdefault("num_frames", None)
        return replace(self.sampling, **asked).indexes(footage.frames, footage.rate)

    def _size(self, video: Video, footage: Footage, count: int) -> tuple[int, int]:
        pictures = self.images.pictures.bounded(video.min_pixels, video.max_pixels)
        if self.clip is not None:
            least = max(self.clip.least or 0, (video.min_pixels or 0) * count)
            budget = replace(self.clip, least=least)
            return budget.size(pictures, footage.height, footage.width, count)
        if self.most_tokens is not None:
            pictures = pictures.shared(self.most_tokens, count)
        return pictures.size(footage.height, footage.width)


def _timed(images: ImagePreprocessor, settings: VideoSettings) -> VideoPreprocessor:
    sampling = EvenSampling(
        settings.fps or USUAL_FPS, settings.num_frames, settings.min_frames, settings.max_frames
    )
    tokens = settings.max_video_tokens if settings.cap_pixels_per_frame else None
    budget = ClipBudget(settings.least_pixels, settings.most_pixels, tokens)
    return VideoPreprocessor(images, sampling, clip=budget)
