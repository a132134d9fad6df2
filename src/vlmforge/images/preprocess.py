"""ImagePreprocessor: an image becomes what the vision program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import Pictures, pictures_of
from vlmforge.images.reading import ImageSource
from vlmforge.images.resizing import resize_image
from vlmforge.images.visual import Frames


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
            settings: of Hugging Face's image processor.
        """
        return ImagePreprocessor(pictures_of(meta, settings), Normalization.of(settings))

    @property
    def layout(self) -> PatchLayout:
        """Divides images into patches."""
        return self.pictures.layout

    def __call__(self, image: ImageSource) -> Frames:
        """An image as the vision program reads it.

        Raises:
            ImageError: it is missing, too large, no image, or of a shape that is not possible.
        """
        return Frames(np.asarray(self.resized(image))[None], self.layout, self.normalize)

    def resized(self, image: ImageSource) -> Image.Image:
        """An image in RGB at the size it is divided at; raises :class:`ImageError`."""
        return resize_image(image, self.pictures)
