"""Sizes and shapes of calibration images: as various as those that a package will meet.

A static scale has to hold for small images and large ones. A third of the samples are small, a
third of middling size and a third large; half keep the image's own shape, the others are cut to one
between 1:3 and 3:1.
"""

from __future__ import annotations

import math
import random

from PIL import Image

from vlmforge.images.pictures import NativeResolution, Pictures
from vlmforge.images.tiles import Tiles

STRATA = 3
FLATTEST = 3.0
"""Times as wide as high, or the reverse, a drawn shape may be."""


def drawn(image: Image.Image, index: int, pictures: Pictures) -> Image.Image:
    """The image at the size of sample ``index``; as it is where all images get one size.

    Args:
        image: upright RGB, of any size.
        index: of the sample, which decides size and shape.
        pictures: with the bounds of pixels.
    """
    if not isinstance(pictures, NativeResolution | Tiles):
        return image
    shape, pixels = _chosen(index, pictures)
    shaped = _cut(image, shape) if index % 2 else image
    scale = math.sqrt(pixels / (shaped.width * shaped.height))
    size = (max(1, round(shaped.width * scale)), max(1, round(shaped.height * scale)))
    return shaped.resize(size, pictures.resample)


def drawn_size(index: int, pictures: Pictures) -> tuple[int, int]:
    """About the height and width in pixels of what :func:`drawn` gives for sample ``index``.

    Those of a square where the image's own shape decides, or all images get one size.
    """
    if not isinstance(pictures, NativeResolution | Tiles):
        return pictures.size(1, 1)
    shape, pixels = _chosen(index, pictures)
    width = math.sqrt(pixels * (shape if index % 2 else 1))
    return max(1, round(pixels / width)), max(1, round(width))


def _chosen(index: int, pictures: NativeResolution | Tiles) -> tuple[float, float]:
    """Times as wide as high, and pixels."""
    chance = random.Random(index)
    shape = math.exp(chance.uniform(-1, 1) * math.log(FLATTEST))
    low = math.log(max(pictures.min_pixels, pictures.layout.side**2))
    high = math.log(pictures.max_pixels)
    return shape, math.exp(low + (high - low) * (index % STRATA + chance.random()) / STRATA)


def _cut(image: Image.Image, shape: float) -> Image.Image:
    """The middle of an image, ``shape`` times as wide as high."""
    width = min(image.width, max(1, round(image.height * shape)))
    height = min(image.height, max(1, round(image.width / shape)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
