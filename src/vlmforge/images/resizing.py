"""The one size of images that is compiled for."""

from __future__ import annotations

from PIL import Image

from vlmforge.images.reading import ImageSource, read_image

IMAGE_SIZE = (224, 224)
"""Height and width of every image the compiled vision encoder sees, in pixels."""


def resize_image(image: ImageSource, size: tuple[int, int] = IMAGE_SIZE) -> Image.Image:
    """The image in RGB at ``size`` (height, width), resampled with LANCZOS.

    Raises:
        ImageError: it cannot be read.
    """
    height, width = size
    return read_image(image).resize((width, height), Image.Resampling.LANCZOS)
