"""What the largest image costs that a package takes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vlmforge.images.pictures import NativeResolution
from vlmforge.run.session import Session


@dataclass(frozen=True)
class LargestImage:
    """A square image of as many pixels as are taken.

    Attributes:
        side: in pixels.
        tokens: it has in a prompt.
        seconds: its encoding takes on this computer.
    """

    side: int
    tokens: int
    seconds: float

    def sentence(self) -> str:
        """One line for people."""
        size = f"{self.side} × {self.side} pixels"
        return f"An image of {size} is {self.tokens} tokens, and takes {self.seconds:.1f} s here."


def largest_image(package: Path) -> LargestImage | None:
    """Encode the largest image; None for a package that does not see, or takes one size."""
    session = Session.open(package)
    if session.preprocess is None:
        return None
    pictures = session.preprocess.images.pictures
    if not isinstance(pictures, NativeResolution):
        return None
    cell = pictures.layout.side
    side = math.isqrt(pictures.max_pixels) // cell * cell
    visual = session.preprocess.images(Image.new("RGB", (side, side), "gray"))
    start = time.perf_counter()
    session.encode([visual])
    return LargestImage(side, visual.grid.tokens, time.perf_counter() - start)
