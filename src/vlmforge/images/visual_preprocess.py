"""VisualPreprocessor: whatever is shown becomes what the vision program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vlmforge.formats.settings import VisualSettings
from vlmforge.images.preprocess import ImagePreprocessor
from vlmforge.images.reading import ImageSource
from vlmforge.images.video import Video
from vlmforge.images.video_preprocess import VideoPreprocessor
from vlmforge.images.visual import Frames


@dataclass(frozen=True)
class VisualPreprocessor:
    """Prepares images and videos.

    Attributes:
        images: prepares images.
        videos: prepares videos.
    """

    images: ImagePreprocessor
    videos: VideoPreprocessor

    @staticmethod
    def of(meta: Mapping[str, Any], settings: VisualSettings) -> VisualPreprocessor:
        """The preprocessor of a vision program.

        Args:
            meta: ``Program.meta`` of the vision program, see :func:`pictures_of`.
            settings: of the processor.
        """
        return VisualPreprocessor(
            ImagePreprocessor.of(meta, settings), VideoPreprocessor.of(meta, settings.videos)
        )

    def bounded(self, max_pixels: int | None) -> VisualPreprocessor:
        """The same for images and frames of at most so many pixels, where sizes have bounds."""
        images, videos = self.images.bounded(max_pixels), self.videos.images.bounded(max_pixels)
        return VisualPreprocessor(images, replace(self.videos, images=videos))

    def __call__(self, shown: ImageSource | Video, room: int | None = None) -> Frames:
        """An image or a video as the vision program reads it.

        Args:
            shown: to be read.
            room: most tokens it may have, None for any number.

        Raises:
            ImageError, VideoError: see :class:`ImagePreprocessor`, :class:`VideoPreprocessor`.
        """
        return self.videos(shown, room) if isinstance(shown, Video) else self.images(shown, room)
