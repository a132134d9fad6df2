"""Media: the images and videos that requests name or carry."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

from vlmforge.errors import ImageError
from vlmforge.images.reading import decode_image, read_image
from vlmforge.prompt.image_root import ImageRoot
from vlmforge.serve.openai.remote import Remote

LOW = (512, 512)
"""Most pixels of the sides of an image that is to be shown in low detail."""


class Media:
    """Reads what URLs stand for.

    Args:
        root: the directory below which files may be named; none may be without.
        remote: fetches what is elsewhere; nothing is without.
    """

    def __init__(self, root: Path | None = None, remote: Remote | None = None) -> None:
        self._root = None if root is None else ImageRoot(root)
        self._remote = remote

    def image(self, url: str, detail: str = "auto") -> Image.Image:
        """The image of a URL; in ``low`` detail made smaller.

        Raises:
            ImageError: there is none, it may not be shown, or it cannot be read.
        """
        source = self._source(url, "image/")
        image = decode_image(source) if isinstance(source, bytes) else read_image(source)
        if detail == "low":
            image.thumbnail(LOW, Image.Resampling.BICUBIC)
        return image

    def video(self, url: str) -> bytes | Path:
        """The file of a URL, or its bytes.

        Raises:
            ImageError: there is none, or it may not be shown.
        """
        return self._source(url, "video/")

    def _source(self, url: str, kind: str) -> bytes | Path:
        scheme = url.partition(":")[0].lower() if ":" in url[:10] else ""
        if scheme == "data":
            return _data(url)
        if scheme == "https" and self._remote is not None:
            return self._remote.fetch(url, kind)
        if scheme in ("http", "https"):
            raise ImageError(
                "remote files are not fetched",
                mend="send a data URL: data:image/png;base64,...",
            )
        if scheme not in ("", "file") or self._root is None:
            raise ImageError(
                "files of the server are not shown",
                mend="send a data URL: data:image/png;base64,...",
            )
        return self._root.resolve(unquote(urlsplit(url).path) if scheme == "file" else url)


def _data(url: str) -> bytes:
    """The bytes of a data URL (RFC 2397), which is in base64."""
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ImageError("a data URL is not in base64", mend="write data:image/png;base64,...")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"a data URL is no base64: {error}", mend="send it again") from error
