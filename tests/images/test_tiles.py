"""Tiles are those of transformers' processors, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)
from transformers.models.smolvlm.image_processing_pil_smolvlm import (
    SmolVLMImageProcessorPil,
    get_resize_output_image_size,
)
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.cuts import LongestEdge, NearestShape
from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import pictures_of
from vlmforge.images.preprocess import ImagePreprocessor
from vlmforge.images.received import received
from vlmforge.images.tiles import Tiles

LAYOUT = PatchLayout(patch_size=4, merge_size=2, temporal_patch_size=1)
TILES = Tiles(LAYOUT, 16, 16, NearestShape())
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDES = st.integers(1, 120)


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 4), st.integers(4, 13))
def test_the_arrangement_is_that_of_transformers(
    height: int, width: int, least: int, most: int
) -> None:
    columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), least, most)
    found = NearestShape(least, most).sizes((height, width), (448, 448))
    assert found == [(rows * 448, columns * 448)]


@settings(max_examples=500, deadline=None)
@given(SIDES, SIDES, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_pixels_are_those_of_transformers(
    height: int, width: int, most: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image, tiles = Image.fromarray(pixels), TILES.bounded(None, most * 16 * 16)
    original = GotOcr2ImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=MEAN, image_std=STD
    )
    batch = original(images=[image], return_tensors="np", **tiles.asked)

    normalize = Normalization.of(ProcessorSettings(image_mean=MEAN, image_std=STD))
    visual = ImagePreprocessor(tiles, normalize)(image)

    assert visual.grid == Grid(int(batch["num_patches"][0]), 2, 2)
    for index, tile in enumerate(received(batch["pixel_values"], None, LAYOUT)):
        np.testing.assert_array_equal(visual.slice(index), tile.patches)


@settings(max_examples=500, deadline=None)
@given(
    SIDES, SIDES, st.sampled_from([16, 40, 48, 64, None]), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_the_pixels_and_labels_are_those_of_smolvlm(
    height: int, width: int, edge: int | None, split: bool, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    image, lanczos = Image.fromarray(pixels), Image.Resampling.LANCZOS
    tiles = Tiles(LAYOUT, 16, 16, LongestEdge(edge, split, 16), resample=lanczos)
    original = SmolVLMImageProcessorPil(
        max_image_size={"longest_edge": 16}, image_mean=MEAN, image_std=STD
    )
    asked = {**tiles.asked, "return_row_col_info": True}
    batch = original(images=[image], return_tensors="np", **asked)

    normalize = Normalization.of(ProcessorSettings(image_mean=MEAN, image_std=STD))
    visual = ImagePreprocessor(tiles, normalize)(image)

    given = batch["pixel_values"][0]
    assert visual.grid == Grid(len(given), 2, 2) and len(visual.parts) == len(given)
    for index, tile in enumerate(received(given, None, LAYOUT)):
        np.testing.assert_array_equal(visual.slice(index), tile.patches)
    ((rows,),), ((columns,),) = batch["rows"], batch["cols"]
    tokens = ("<fake_token_around_image>", "<image>", "<global-img>")
    assert visual.text("<image>") == get_image_prompt_string(rows, columns, 4, *tokens)


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(2, 12))
def test_sizes_are_those_of_smolvlm(height: int, width: int, tiles: int) -> None:
    wanted = get_resize_output_image_size(np.zeros((1, height, width), np.uint8), tiles * 512)
    first, last = LongestEdge(tiles * 512, True, 512).sizes((height, width), (512, 512))
    assert first == wanted
    assert all(side % 512 == 0 for side in last) and max(last) <= 8 * 512


def test_the_program_and_the_processor_bound_them() -> None:
    settings = ProcessorSettings(min_patches=2, max_patches=6)
    found = pictures_of(TILES.facts(), settings)
    assert found == Tiles(LAYOUT, 16, 16, NearestShape(2, 6))
    assert found.bounded(None, 800).asked["max_patches"] == 3
    assert found.bounded(None, 1).asked == {
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 1,
    }


def test_what_programs_read() -> None:
    assert TILES.refusal(Grid(5, 2, 2)) is None
    assert TILES.refusal(Grid(1, 2, 3)) == "it reads tiles of 16 x 16 pixels"


def test_images_without_pixels_are_refused() -> None:
    with pytest.raises(ImageError, match="0 x 5 pixels has none"):
        TILES.size(0, 5)
