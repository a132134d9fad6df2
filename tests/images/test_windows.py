"""Windows are those of transformers, to the last patch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.vision_utils import get_vision_window_index

from vlmforge.images.feeds import VisionFeeds
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.windows import Windows

SIDES = st.integers(1, 20)


def original(grid: Grid, window: int, merge: int) -> tuple[np.ndarray, np.ndarray]:
    """Order of cells, and where the windows end, in patches."""
    sizes = {"spatial_merge_size": merge, "window_size": window * merge * 14, "patch_size": 14}
    order, ends = get_vision_window_index(torch.tensor([grid.patches(merge)]), **sizes)
    return order.numpy(), ends.numpy()


def require_same(grid: Grid, window: int, merge: int) -> None:
    layout = PatchLayout(merge_size=merge, window=window)
    order, ends = original(grid, window, merge)
    cells = np.arange(grid.tokens)
    ways = VisionFeeds(layout, fixed=False)
    np.testing.assert_array_equal(ways.to_program(cells, grid), order)
    np.testing.assert_array_equal(ways.from_program(order, grid), cells)
    patches = np.arange(grid.tokens * merge**2 * 3, dtype=np.float32).reshape(-1, 3)
    feeds = ways(patches, grid)
    np.testing.assert_array_equal(ways.from_program(feeds["patches"], grid), patches)
    whole = ways.from_program(feeds["position_ids"].T, grid).T
    np.testing.assert_array_equal(whole, layout.positions(grid))
    lengths = np.diff(ends)
    bounds = np.stack([ends[:-1], ends[1:]], axis=1).repeat(lengths, axis=0)
    np.testing.assert_array_equal(feeds["visible"], bounds)
    assert {array.dtype for array in (feeds["visible"], feeds["position_ids"])} == {np.dtype("i8")}
    assert all(array.flags.c_contiguous for array in feeds.values())


@pytest.mark.parametrize("rows", range(1, 10))
@pytest.mark.parametrize("columns", range(1, 10))
def test_small_grids(rows: int, columns: int) -> None:
    require_same(Grid(1, rows, columns), 4, 2)


@given(SIDES, SIDES, st.integers(1, 8), st.integers(1, 3))
def test_grids_of_any_shape(rows: int, columns: int, window: int, merge: int) -> None:
    require_same(Grid(1, rows, columns), window, merge)


def test_one_window_is_the_whole() -> None:
    bounds = Windows(8).bounds(Grid(1, 3, 5))
    assert bounds.tolist() == [[0, 15]] * 15


def test_without_windows_nothing_moves() -> None:
    ways, patches = VisionFeeds(PatchLayout(), fixed=False), np.zeros((24, 1176), np.float32)
    feeds = ways(patches, Grid(1, 2, 3))
    assert feeds["patches"] is patches and "visible" not in feeds
