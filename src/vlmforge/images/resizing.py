"""Images at the size that they are divided at."""

from __future__ import annotations

from PIL import Image

from vlmforge.images.pictures import Pictures
from vlmforge.images.reading import ImageSource, read_image


def resize_image(image: ImageSource, pictures: Pictures) -> Image.Image:
    """The image in RGB at the size that its kind of pictures wants.

    Raises:
        ImageError: it cannot be read, or has a shape that is not possible.
    """
    found = read_image(image)
    height, width = pictures.size(found.height, found.width)
    return found.resize((width, height), pictures.resample)
