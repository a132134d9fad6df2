"""What the largest image costs that a package takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vlmforge.images.pictures import FixedSize
from vlmforge.run.session import Session


@dataclass(frozen=True)
class LargestImage:
    """An image of as many pixels as are taken, as square as it can be.

    Attributes:
        height, width: in pixels.
        tokens: it has in a prompt.
        seconds: its encoding takes on this computer.
    """

    height: int
    width: int
    tokens: int
    seconds: float

    def sentence(self) -> str:
        """One line for people."""
        size = f"{self.height} × {self.width} pixels"
        return f"An image of {size} is {self.tokens} tokens, and takes {self.seconds:.1f} s here."


def largest_image(package: Path) -> LargestImage | None:
    """Encode the largest image; None for a package that does not see, or takes one size."""
    session = Session.open(package)
    if session.preprocess is None:
        return None
    pictures = session.preprocess.images.pictures
    if isinstance(pictures, FixedSize):
        return None
    height, width = pictures.largest
    visual = session.preprocess.images(Image.new("RGB", (width, height), "gray"))
    start = time.perf_counter()
    session.encode([visual])
    return LargestImage(height, width, visual.grid.tokens, time.perf_counter() - start)
