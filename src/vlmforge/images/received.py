"""Pixels as transformers' processors give them, divided as a vision program reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.visual import Patches

TILE_AXES = (4, 5)
"""Of the pixels of tiles, and of those of several sequences; those of patches have two."""


def processed(
    processor: Callable[..., Any], image: Image.Image, asked: Mapping[str, Any], layout: PatchLayout
) -> list[Patches]:
    """What transformers' image processor makes of an image, see :func:`received`.

    Args:
        processor: of images.
        image: as it is given to the processor.
        asked: of the processor beside it.
        layout: divides tiles.
    """
    batch = processor(images=[image], return_tensors="np", **asked)
    return received(batch["pixel_values"], batch.get("image_grid_thw"), layout)


def received(
    pixels: np.ndarray, grids: Sequence[Sequence[int]] | None, layout: PatchLayout
) -> list[Patches]:
    """The images of what a processor gives; each tile is one.

    Args:
        pixels: float32 ``[patches, 3 * time * patch²]``, or of tiles
            ``[tiles, 3, height, width]``, perhaps with the number of sequences before that; tiles
            of zeros, which sequences that have fewer are filled with, are none.
        grids: ``[images, 3]``, frames, rows and columns of patches; tiles need none.
        layout: divides tiles.
    """
    if pixels.ndim in TILE_AXES:
        tiles = pixels.reshape(-1, *pixels.shape[-3:]).transpose(0, 2, 3, 1)
        grid = layout.grid(1, *tiles.shape[1:3])
        return [Patches(layout.fold(tile[None]), grid) for tile in tiles if tile.any()]
    assert grids is not None, "patches come with grids"
    found = [Grid.of_patches([int(size) for size in grid], layout.merge_size) for grid in grids]
    ends = np.cumsum([grid.tokens * layout.cell_patches for grid in found])
    return [Patches(*each) for each in zip(np.split(pixels, ends[:-1]), found, strict=True)]
