"""Canvases of mixed sizes and shapes, and the pictures on them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from PIL import Image

from training.family import MERGE, PATCH
from vlmforge.calibrate.scenes import SIDE, SQUARE, Scene, draw_scene

TOKEN = PATCH * MERGE
"""Side in pixels of what one image token stands for."""

SHOWN = (196, 448)
"""Least and greatest side in pixels of a picture; the bounds of pixels are their squares."""

LONGEST = 2.0
"""Times as long as wide the picture of a canvas may be."""

SCALES = (0.875, 1.125)
"""Between which pictures are scaled: so little that small items stay smaller than large ones."""


@dataclass(frozen=True)
class Canvas:
    """Where scenes are drawn, and how large they are shown: `(height, width)` in pixels each.

    All but the square canvas are shaded: the tower has no positions but relative ones, and cannot
    tell which third of a picture of any size it looks at.
    """

    drawn: tuple[int, int] = SQUARE
    shown: tuple[int, int] = SQUARE
    shaded: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of image tokens."""
        rows, columns = (round(side / TOKEN) for side in self.shown)
        return rows, columns

    def draw(self, seed: int, least: int = 1, most: int = 4) -> Scene:
        """Draw the scene of `seed`, its picture as it is shown, its items on the canvas."""
        scene = draw_scene(seed, least, most, self.drawn, self.shaded)
        if self.shown == self.drawn:
            return scene
        return Scene(scene.image.resize(self.shown[::-1], Image.Resampling.BICUBIC), scene.items)

    def on_grid(self) -> Canvas:
        """Return the canvas shown at whole tokens, as an image processor shows it."""
        rows, columns = self.grid
        return replace(self, shown=(rows * TOKEN, columns * TOKEN))


def draw_canvas(rng: random.Random) -> Canvas:
    """Draw size, shape and scale of a picture; size and shape evenly in their logarithms."""
    least, greatest = SHOWN
    scale = rng.uniform(*SCALES)
    area = math.exp(rng.uniform(2 * math.log(least), 2 * math.log(greatest)))
    shape = LONGEST ** rng.uniform(-1, 1)
    shown = (math.sqrt(area / shape), math.sqrt(area * shape))
    drawn = tuple(max(SIDE, round(min(side, greatest) / scale)) for side in shown)
    height, width = (min(greatest, round(side * scale)) for side in drawn)
    return Canvas((drawn[0], drawn[1]), (height, width), shaded=True)
