"""Tiles: pictures cut into squares of one size, and one small picture of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout

TILES = "tiles"
"""What a vision program's ``meta`` says of its ``layout``."""


@dataclass(frozen=True)
class Tiles:
    """An image becomes tiles, row by row, and where there are several, a tile of the whole.

    As transformers' ``GotOcr2ImageProcessorPil`` cuts images for InternVL (arXiv 2404.16821,
    section 3.2): the image is stretched to as many rows and columns of tiles as fit its shape.

    Attributes:
        layout: divides a tile.
        height, width: of a tile, in pixels.
        least, most: tiles that an image is cut into, the tile of the whole not counted.
        class_token: whether the vision program reads a row of zeros behind the patches of a tile.
        resample: the processor's.
    """

    layout: PatchLayout
    height: int
    width: int
    least: int
    most: int
    class_token: bool = False
    resample: Image.Resampling = Image.Resampling.BICUBIC

    @staticmethod
    def of(meta: Mapping[str, Any], settings: ProcessorSettings) -> Tiles:
        """Those of a vision program and its processor."""
        height, width = meta["tile"]
        least, most = meta["min_tiles"], meta["max_tiles"]
        return Tiles(
            PatchLayout.of(meta),
            height,
            width,
            min(max(least, settings.min_patches), most),
            max(min(most, settings.max_patches), 1),
            meta.get("class_token", False),
            Image.Resampling(settings.resample),
        )

    @property
    def patches(self) -> int:
        """Patches of a tile."""
        return self.height * self.width // self.layout.patch_size**2

    @property
    def min_pixels(self) -> int:
        """Of what an image is stretched to."""
        return self.least * self.height * self.width

    @property
    def max_pixels(self) -> int:
        """Of what an image is stretched to."""
        return self.most * self.height * self.width

    @property
    def largest(self) -> tuple[int, int]:
        """See :class:`Pictures`."""
        most = max(columns * rows for columns, rows in self._arrangements())
        whole = [(rows, c) for c, rows in self._arrangements() if c * rows == most]
        rows, columns = min(whole, key=lambda sides: abs(sides[0] - sides[1]))
        return rows * self.height, columns * self.width

    def arrangement(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tiles for an image of this height and width.

        Those whose shape is nearest to the image's; of several, the one with more tiles, as long as
        the image has more than half of their pixels.

        Raises:
            ImageError: the image has no pixels.
        """
        if height < 1 or width < 1:
            raise ImageError(f"an image of {height} x {width} pixels has none", mend="give another")
        best, nearest = (1, 1), float("inf")
        for columns, rows in self._arrangements():
            distance = abs(width / height - columns / rows)
            filled = height * width > 0.5 * self.height * self.width * columns * rows
            if distance < nearest or (distance == nearest and filled):
                best, nearest = (rows, columns), distance
        return best

    def _arrangements(self) -> Iterator[tuple[int, int]]:
        """All columns and rows of as many tiles as are allowed, the fewest tiles first."""
        sides = range(1, self.most + 1)
        found = [(c, r) for c in sides for r in sides if self.least <= c * r <= self.most]
        yield from sorted(found, key=lambda sides: sides[0] * sides[1])

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that an image is stretched to before it is cut."""
        rows, columns = self.arrangement(height, width)
        return rows * self.height, columns * self.width

    def grid(self, height: int, width: int) -> Grid:
        """See :class:`Pictures`: each tile is a frame."""
        rows, columns = self.arrangement(height, width)
        tiles = rows * columns
        single = self.layout.grid(1, self.height, self.width)
        return single._replace(frames=tiles + (tiles > 1))

    def frames(self, image: Image.Image) -> list[Image.Image]:
        """See :class:`Pictures`: the tiles row by row, and that of the whole behind them."""
        height, width = self.size(image.height, image.width)
        stretched = image.resize((width, height), self.resample)
        corners = [
            (left, top)
            for top in range(0, height, self.height)
            for left in range(0, width, self.width)
        ]
        tiles = [stretched.crop((x, y, x + self.width, y + self.height)) for x, y in corners]
        if len(tiles) > 1:
            tiles.append(image.resize((self.width, self.height), self.resample))
        return tiles

    def given(self, image: Image.Image) -> Image.Image:
        """See :class:`Pictures`."""
        return image

    @property
    def asked(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return {"crop_to_patches": True, "min_patches": self.least, "max_patches": self.most}

    def refusal(self, grid: Grid) -> str | None:
        """See :class:`Pictures`."""
        if grid.area == self.layout.grid(1, self.height, self.width).area:
            return None
        return f"it reads tiles of {self.height} x {self.width} pixels"

    def facts(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return {
            "layout": TILES,
            "tile": [self.height, self.width],
            "min_tiles": self.least,
            "max_tiles": self.most,
            "class_token": self.class_token,
            **self.layout.facts(),
        }

    def bounded(self, min_pixels: int | None, max_pixels: int | None) -> Tiles:
        """See :class:`Pictures`: at least one tile."""
        if max_pixels is None:
            return self
        most = max(1, min(self.most, max_pixels // (self.height * self.width)))
        return replace(self, least=min(self.least, most), most=most)

    def shared(self, tokens: int, frames: int) -> Tiles:
        """See :class:`Pictures`."""
        return self
