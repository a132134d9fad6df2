"""Images of files, upright, in RGB and of the one size that is compiled for."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from vlmforge.errors import SourceError

IMAGE_SIZE = (224, 224)
"""Height and width of every image the compiled vision encoder sees, in pixels."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says, in RGB without alpha."""
    return ImageOps.exif_transpose(image).convert("RGB")


def read_image(path: Path | str) -> Image.Image:
    """The image of a file, fully decoded, upright, in RGB.

    Raises:
        SourceError: the file is missing or is no image.
    """
    try:
        with Image.open(path) as image:
            return upright_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceError(
            f"the image cannot be read: {error}",
            where=path,
            mend="give an existing image file, such as a PNG or JPEG",
        ) from error


def resize_image(image: Image.Image, size: tuple[int, int] = IMAGE_SIZE) -> Image.Image:
    """The image in RGB at ``size`` (height, width), resampled with LANCZOS."""
    height, width = size
    return upright_rgb(image).resize((width, height), Image.Resampling.LANCZOS)
