"""Rows of learned positions are those of transformers, to the bit."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.position_table import PositionTable

SIDES = st.integers(1, 60)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, st.integers(1, 50), st.sampled_from([1, 2, 3]), st.integers(1, 9))
def test_rows_are_those_of_transformers(
    rows: int, columns: int, side: int, merge: int, width: int
) -> None:
    grid = Grid(1, rows, columns)
    table = torch.randn(side**2, width, generator=torch.Generator().manual_seed(side * width))
    places, weights = get_vision_interpolation_indices_and_weights(
        torch.tensor([grid.patches(merge)]), side, "bilinear", True, merge
    )
    wanted = (table[places] * weights[:, :, None]).sum(1).numpy()
    found = PositionTable(table.numpy()).at(PatchLayout(14, merge, 2).positions(grid))
    np.testing.assert_array_equal(found.view(np.int32), wanted.view(np.int32))


def test_a_grid_of_the_size_of_the_table_gets_it_as_it_is() -> None:
    table = np.random.default_rng(0).normal(size=(36, 5)).astype(np.float32)
    positions = PatchLayout(14, 1, 2).positions(Grid(1, 6, 6))
    np.testing.assert_array_equal(PositionTable(table).at(positions), table)
