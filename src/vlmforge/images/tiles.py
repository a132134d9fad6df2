"""Tiles: pictures cut into squares of one size, and one small picture of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.cuts import Cut, cut_of
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout

TILES = "tiles"
"""What a vision program's ``meta`` says of its ``layout``."""


@dataclass(frozen=True)
class Tiles:
    """An image becomes tiles, row by row, and where there are several, a tile of the whole.

    Attributes:
        layout: divides a tile.
        height, width: of a tile, in pixels.
        cut: into how many tiles.
        class_token: whether the vision program reads a row of zeros behind the patches of a tile.
        resample: the processor's.
    """

    layout: PatchLayout
    height: int
    width: int
    cut: Cut
    class_token: bool = False
    resample: Image.Resampling = Image.Resampling.BICUBIC

    @staticmethod
    def of(meta: Mapping[str, Any], settings: ProcessorSettings) -> Tiles:
        """Those of a vision program and its processor."""
        layout, resample = PatchLayout.of(meta), Image.Resampling(settings.resample)
        height, width = meta["tile"]
        return Tiles(
            layout, height, width, cut_of(meta, settings), meta.get("class_token", False), resample
        )

    @property
    def patches(self) -> int:
        """Patches of a tile."""
        return self.height * self.width // self.layout.patch_size**2

    @property
    def min_pixels(self) -> int:
        """Of what an image is stretched to."""
        return self.height * self.width

    @property
    def max_pixels(self) -> int:
        """Of what an image is stretched to."""
        return self.cut.most * self.height * self.width

    @property
    def largest(self) -> tuple[int, int]:
        """See :class:`Pictures`."""
        return self.cut.largest((self.height, self.width))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that an image is stretched to before it is cut."""
        return self.cut.sizes((height, width), (self.height, self.width))[-1]

    def grid(self, height: int, width: int) -> Grid:
        """See :class:`Pictures`: each tile is a frame."""
        tiles = self._tiles(self.size(height, width))
        single = self.layout.grid(1, self.height, self.width)
        return single._replace(frames=tiles + (tiles > 1))

    def frames(self, image: Image.Image) -> list[Image.Image]:
        """See :class:`Pictures`: the tiles row by row, and that of the whole behind them."""
        tile, stretched = (self.height, self.width), image
        for height, width in self.cut.sizes((image.height, image.width), tile):
            stretched = stretched.resize((width, height), self.resample)
        corners = [
            (left, top)
            for top in range(0, stretched.height, self.height)
            for left in range(0, stretched.width, self.width)
        ]
        tiles = [stretched.crop((x, y, x + self.width, y + self.height)) for x, y in corners]
        if len(tiles) > 1:
            whole = stretched if self.cut.of_stretched else image
            tiles.append(whole.resize(tile[::-1], self.resample))
        return tiles

    def labels(self, image: Image.Image) -> tuple[str, ...]:
        """See :class:`Pictures`."""
        height, width = self.size(image.height, image.width)
        return self.cut.labels(height // self.height, width // self.width)

    def given(self, image: Image.Image) -> Image.Image:
        """See :class:`Pictures`."""
        return image

    @property
    def asked(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return self.cut.asked

    def refusal(self, grid: Grid) -> str | None:
        """See :class:`Pictures`."""
        if grid.area == self.layout.grid(1, self.height, self.width).area:
            return None
        return f"it reads tiles of {self.height} x {self.width} pixels"

    def facts(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        tile = {"tile": [self.height, self.width], "class_token": self.class_token}
        return {"layout": TILES, **tile, **self.cut.facts(), **self.layout.facts()}

    def bounded(self, min_pixels: int | None, max_pixels: int | None) -> Tiles:
        """See :class:`Pictures`: at least one tile."""
        if max_pixels is None or max_pixels >= self.max_pixels:
            return self
        return replace(self, cut=self.cut.bounded(max_pixels // (self.height * self.width)))

    def shared(self, tokens: int, frames: int) -> Tiles:
        """See :class:`Pictures`."""
        return self

    def _tiles(self, size: tuple[int, int]) -> int:
        return (size[0] // self.height) * (size[1] // self.width)
