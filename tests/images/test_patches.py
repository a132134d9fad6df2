"""One order of pixels becomes another and returns; the patches are Hugging Face's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.images.original import original_patches
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout

LAYOUTS = st.builds(PatchLayout, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
GRIDS = st.builds(Grid, st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.just(1.0))


def frames(layout: PatchLayout, grid: Grid, missing: int = 0) -> np.ndarray:
    """Different numbers in every place, of all frames but the last ones."""
    count = grid.frames * layout.temporal_patch_size - missing
    shape = (count, grid.rows * layout.side, grid.columns * layout.side, 3)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@given(LAYOUTS, GRIDS)
def test_every_order_inverts(layout: PatchLayout, grid: Grid) -> None:
    given = frames(layout, grid)
    assert layout.grid(len(given), *given.shape[1:3]) == grid
    patches = layout.fold(given)
    blocks = layout.blocks(patches)

    assert patches.shape == (grid.tokens * layout.cell_patches, layout.patch_values)
    assert blocks.shape[0] == grid.tokens * layout.patch_size
    np.testing.assert_array_equal(layout.of_blocks(blocks), patches)
    np.testing.assert_array_equal(layout.unfold(patches, grid), given)


@given(LAYOUTS, GRIDS)
def test_stills_equal_hugging_face(layout: PatchLayout, grid: Grid) -> None:
    still = frames(layout, Grid(1, *grid[1:]))[:1]
    sizes = (layout.patch_size, layout.merge_size, layout.temporal_patch_size)

    expected, *found = Qwen2VLImageProcessorPil().patchify(still[0].transpose(2, 0, 1), *sizes)

    np.testing.assert_array_equal(layout.fold(still), expected)
    assert layout.grid(1, *still.shape[1:3]).patches(layout.merge_size) == (1, *found)


@given(LAYOUTS, GRIDS, st.data())
def test_videos_equal_hugging_face(layout: PatchLayout, grid: Grid, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, layout.temporal_patch_size - 1))
    given = frames(layout, grid, missing)

    expected, thw = original_patches(given, layout)

    np.testing.assert_array_equal(layout.fold(given), expected)
    assert Grid.of_patches(thw, layout.merge_size) == grid


def test_blocks_hold_each_patch_in_its_place() -> None:
    patches = np.arange(256 * 1176, dtype=np.float32).reshape(256, 1176)

    blocks = PatchLayout().blocks(patches)

    assert blocks.shape == (896, 56, 6)
    for patch in (0, 1, 2, 3, 4, 77, 255):
        row, column = patch // 4 * 14, patch % 4 * 14
        planes = patches[patch].reshape(6, 14, 14)
        np.testing.assert_array_equal(
            blocks[row : row + 14, column : column + 14], planes.transpose(1, 2, 0)
        )


@given(LAYOUTS, GRIDS)
def test_positions_are_those_of_the_patches(layout: PatchLayout, grid: Grid) -> None:
    height, width = grid.rows * layout.side, grid.columns * layout.side
    row, column = np.indices((height, width)) // layout.patch_size
    pixels = np.stack([row, column, np.zeros_like(row)], axis=-1)[None]

    found = layout.positions(grid)

    of_patches = layout.fold(pixels).reshape(found.shape[1], 3, -1)[:, :, 0]
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, of_patches.T)
