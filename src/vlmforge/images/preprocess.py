"""ImagePreprocessor: an image becomes the input of the vision program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.reading import ImageSource, read_image


@dataclass(frozen=True)
class ImagePreprocessor:
    """Resizes to the vision program's fixed size, rescales, normalizes and lays out patches.

    Attributes:
        height, width: of the resized image, in pixels.
        patch_size: side of a square patch, in pixels.
        merge_size: side of a merge group, in patches.
        temporal_patch_size: how often a still image is repeated along time.
        rescale_factor: maps bytes to the unit interval, usually 1 / 255.
        mean, std: of each RGB channel, on the unit interval.
    """

    height: int
    width: int
    patch_size: int
    merge_size: int
    temporal_patch_size: int
    rescale_factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(meta: Mapping[str, Any], settings: ProcessorSettings) -> ImagePreprocessor:
        """The preprocessor of a vision program and a ``preprocessor_config.json``.

        Args:
            meta: ``Program.meta`` of the vision program.
            settings: of Hugging Face's image processor.
        """
        height, width = meta["image_size"]
        return ImagePreprocessor(
            height,
            width,
            meta["patch_size"],
            meta["merge_size"],
            meta["temporal_patch_size"],
            settings.rescale_factor if settings.do_rescale else 1.0,
            settings.image_mean if settings.do_normalize else (0.0, 0.0, 0.0),
            settings.image_std if settings.do_normalize else (1.0, 1.0, 1.0),
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of merge groups; each group becomes one token."""
        side = self.patch_size * self.merge_size
        return self.height // side, self.width // side

    def __call__(self, image: ImageSource) -> np.ndarray:
        """The vision program's input.

        Args:
            image: a PIL image or the path of an image file.

        Returns:
            float32 ``[groups * patch, merge² * patch, 3 * temporal]`` (``[896, 56, 6]`` for
            224 × 224): height, width, channel * temporal + time. Group g owns rows
            ``g * patch ...``; its patches lie side by side, in Hugging Face's order.

        Raises:
            ImageError: it is missing, too large or no image.
        """
        resized = read_image(image).resize((self.width, self.height), Image.Resampling.LANCZOS)
        return self.layout(self.normalize(np.asarray(resized)))

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 ``[height, width, 3]`` to float32 of the same shape, with Hugging Face's bits."""
        unit = (pixels.astype(np.float64) * self.rescale_factor).astype(np.float32)
        return (unit - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def layout(self, pixels: np.ndarray) -> np.ndarray:
        """float32 ``[height, width, 3]`` arranged by merge group as the vision program reads it."""
        (rows, columns), merge, patch = self.grid, self.merge_size, self.patch_size
        groups = pixels.reshape(rows, merge, patch, columns, merge, patch, 3)
        groups = groups.transpose(0, 3, 2, 1, 4, 5, 6)
        still = np.repeat(groups[..., None], self.temporal_patch_size, axis=-1)
        return still.reshape(rows * columns * patch, merge * merge * patch, -1)

    def arrange(self, patches: np.ndarray) -> np.ndarray:
        """Hugging Face's ``pixel_values`` of one image in the layout of the vision program.

        Args:
            patches: float32 ``[groups * merge², 3 * temporal * patch²]``.
        """
        merge, patch, time = self.merge_size, self.patch_size, self.temporal_patch_size
        groups = patches.reshape(-1, merge * merge, 3, time, patch, patch)
        return groups.transpose(0, 4, 1, 5, 2, 3).reshape(-1, merge * merge * patch, 3 * time)
