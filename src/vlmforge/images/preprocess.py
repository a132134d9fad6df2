"""ImagePreprocessor: an image becomes what the vision program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import Pictures, pictures_of
from vlmforge.images.reading import ImageSource, read_image
from vlmforge.images.visual import Frames

LONGER = "open the package with a larger max_length (at most the compiled cache length)"


@dataclass(frozen=True)
class ImagePreprocessor:
    """Resizes images as their kind wants it, and normalizes them.

    Attributes:
        pictures: the kind.
        normalize: makes numbers of bytes.
    """

    pictures: Pictures
    normalize: Normalization

    @staticmethod
    def of(meta: Mapping[str, Any], settings: ProcessorSettings) -> ImagePreprocessor:
        """The preprocessor of a vision program and a ``preprocessor_config.json``.

        Args:
            meta: ``Program.meta`` of the vision program, see :func:`pictures_of`.
            settings: of Hugging Face's processor.
        """
        return ImagePreprocessor(pictures_of(meta, settings), Normalization.of(settings))

    @property
    def layout(self) -> PatchLayout:
        """Divides images into patches."""
        return self.pictures.layout

    def bounded(self, max_pixels: int | None) -> ImagePreprocessor:
        """The same for images of at most so many pixels, where their sizes have bounds."""
        return replace(self, pictures=self.pictures.bounded(None, max_pixels))

    def __call__(self, image: ImageSource, room: int | None = None) -> Frames:
        """An image as the vision program reads it.

        Args:
            image: to be read.
            room: most tokens it may have, None for any number.

        Raises:
            ImageError: it is missing, too large, no image, of a shape that is not possible, or
                has more tokens than there is room for.
        """
        found = read_image(image)
        if excess := tokens_beyond(self.pictures.grid(found.height, found.width), room):
            mend = f"show smaller or fewer images, or {LONGER}"
            raise ImageError(f"the image has {excess}", mend=mend)
        frames = self.frames(self.pictures.frames(found))
        return replace(frames, labels=self.pictures.labels(found))

    def resize(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """An image in RGB with another height and width."""
        return image.resize(size[::-1], self.pictures.resample)

    def frames(self, images: list[Image.Image], pace: float = 1.0) -> Frames:
        """Images of one size, which are not resized."""
        pixels = np.stack([np.asarray(image) for image in images])
        return Frames(pixels, self.layout, self.normalize, pace=pace)


def tokens_beyond(grid: Grid, room: int | None) -> str | None:
    """How many tokens a grid has for how few there is room; None if it fits."""
    if room is None or grid.tokens <= room:
        return None
    return f"{grid.tokens} tokens, there is room for {max(room, 0)}"
