"""Images of files and of callers: bounded before they are decoded, upright, in RGB."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vlmforge.errors import ImageError
from vlmforge.formats.descriptor import open_to_read

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is read; no others, as some of Pillow's formats start programs or are rarely tested."""

MOST_BYTES = 1 << 27
"""Of an image file."""

MOST_PIXELS = 64_000_000
"""Of an image; Pillow takes 4 bytes a pixel, twice while it converts one."""

LONGEST_SIDE = (1 << 16) - 1
"""Pixels; what JPEG and GIF can say."""

MOST_SCANS = 100
"""Passes over a JPEG's pixels that its file may ask for; a progressive one has about ten."""

TILE = (322, 323)
"""Tags of TIFF: width and height of a tile, which is decoded whole, however small the image."""

MEND = "name an existing image file: " + ", ".join(FORMATS)
SMALLER = "make the image smaller, or save it as another format, such as PNG or JPEG"

ImageSource = Image.Image | np.ndarray | str | os.PathLike[str]
"""An image, its pixels uint8 ``[height, width, 3]``, or the path of a file that holds one."""


def read_image(source: ImageSource) -> Image.Image:
    """The image of a file or in memory, decoded, turned upright, in RGB without alpha.

    Of a file of several images it is the first. Of a JPEG larger than :data:`MOST_PIXELS` every
    second, fourth or eighth pixel is decoded.

    Raises:
        ImageError: a file is missing, no regular file, no image of :data:`FORMATS` or damaged,
            or an image is larger than is allowed.
    """
    if isinstance(source, (Image.Image, np.ndarray)):
        with _told(None):
            image = _of_pixels(source) if isinstance(source, np.ndarray) else source
            _check_size(image.size)
            return _upright_rgb(image)
    with _told(source):
        return _decoded(_read(source))


def decode_image(data: bytes) -> Image.Image:
    """The image that the bytes of a file hold, as :func:`read_image` gives it.

    Raises:
        ImageError: see :func:`read_image`.
    """
    with _told(None):
        return _decoded(data)


@contextmanager
def _told(where: object) -> Iterator[None]:
    """Whatever Pillow raises within is told as an :class:`ImageError`."""
    try:
        yield
    except _TooLarge as error:
        raise ImageError(str(error), where=where, mend=SMALLER) from error
    except UnidentifiedImageError as error:
        raise ImageError("the file is not an image", where=where, mend=MEND) from error
    except MemoryError as error:
        what = "the memory does not suffice for the image"
        raise ImageError(what, where=where, mend=SMALLER) from error
    except Exception as error:  # damaged files make Pillow raise errors of any kind
        what = f"the image cannot be read: {error}"
        raise ImageError(what, where=where, mend=MEND) from error


class _TooLarge(Exception):
    """An image that would take more memory or time than is allowed."""


@contextmanager
def regular_file(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file, open, and its bytes; others are not waited for, as a pipe would be.

    Raises:
        OSError: there is none.
    """
    with os.fdopen(open_to_read(path), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        yield file, status.st_size


def _read(path: str | os.PathLike[str]) -> bytes:
    with regular_file(path) as (file, size):
        data = file.read(MOST_BYTES + 1) if size <= MOST_BYTES else None
    if data is None or len(data) > MOST_BYTES:
        raise _TooLarge(f"the image file is larger than {MOST_BYTES >> 20} MB")
    return data


def _of_pixels(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"it is {pixels.dtype} {list(pixels.shape)}, not uint8 [height, width, 3]")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check_work(image, data)
        return _upright_rgb(image)


def _check_work(image: Image.Image, data: bytes) -> None:
    """Raise :class:`_TooLarge` if decoding would take too much; let a large JPEG be reduced."""
    if image.format in ("JPEG", "MPO"):
        if data.count(b"\xff\xda") > MOST_SCANS:
            raise _TooLarge(f"the JPEG has more than {MOST_SCANS} scans")
        _reduce(image)
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        _check_size((int(tags.get(TILE[0], 1)), int(tags.get(TILE[1], 1))))
    elif image.format == "BMP" and any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ())):
        raise _TooLarge("the BMP is run-length encoded, which is slow to read")
    _check_size(image.size)


def _reduce(image: Image.Image) -> None:
    """Let a JPEG that is too large be decoded at a half, a quarter or an eighth of its size.

    A progressive one is kept as it is: its coefficients are all held, whatever is made of them.
    """
    width, height = image.size
    if "progressive" in image.info or max(image.size) > LONGEST_SIDE:
        return
    fitting = (scale for scale in (1, 2, 4, 8) if width * height <= scale**2 * MOST_PIXELS)
    scale = next(fitting, 8)
    if scale > 1:
        image.draft(None, (width // scale, height // scale))


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ValueError("it has no pixels")
    if width * height > MOST_PIXELS or max(size) > LONGEST_SIDE:
        raise _TooLarge(
            f"the image has {width} x {height} pixels, at most {MOST_PIXELS // 10**6} million are "
            f"read, and {LONGEST_SIDE} a side"
        )


def _upright_rgb(image: Image.Image) -> Image.Image:
    """An image of an allowed size in RGB, with no more than one copy beside it."""
    image.load()
    turned = ImageOps.exif_transpose(image) if _is_turned(image) else image
    return turned.copy() if turned is image and image.mode == "RGB" else turned.convert("RGB")


def _is_turned(image: Image.Image) -> bool:
    """Whether EXIF says that the image is to be turned or mirrored."""
    return image.getexif().get(0x0112, 1) != 1
