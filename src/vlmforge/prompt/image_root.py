"""ImageRoot: the one directory below which a server's clients may name images and videos."""

from __future__ import annotations

import os
from pathlib import Path

from vlmforge.errors import ImageError
from vlmforge.images.reading import ImageSource


class ImageRoot:
    """A directory of images and videos.

    Args:
        directory: relative paths start there, links may not lead out of it.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(os.path.realpath(directory))

    def allowed(self, image: ImageSource) -> ImageSource:
        """The image, or the file that it names; raises :class:`ImageError`."""
        return self.resolve(image) if isinstance(image, (str, os.PathLike)) else image

    def resolve(self, path: str | os.PathLike[str]) -> Path:
        """The file that a path names.

        Raises:
            ImageError: it is missing or outside; which of both is not told.
        """
        try:
            found = (self._directory / path).resolve(strict=True)
            if found.is_relative_to(self._directory) and found.is_file():
                return found
        except (OSError, RuntimeError, TypeError, ValueError):
            pass
        raise ImageError(
            "there is no such file below the image root",
            where=repr(os.fspath(path))[:200],
            mend="name a file below it",
        )
