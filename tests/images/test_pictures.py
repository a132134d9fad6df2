"""Sizes of images are Hugging Face's, or the compiled one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.Image import Resampling
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as original

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings, SizeSettings
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import (
    FixedSize,
    NativeResolution,
    Pictures,
    pictures_of,
    smart_resize,
)

SIZES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
FIXED = {**SIZES, "image_size": [56, 112]}
DYNAMIC = {**SIZES, "layout": "dynamic", "min_pixels": 3136, "max_pixels": 50176, "max_patches": 40}
SIDE = st.one_of(st.integers(1, 60), st.integers(1, 4000))


@settings(max_examples=500)
@given(SIDE, SIDE, st.sampled_from([4, 28, 32]), st.integers(1, 9000), st.integers(1, 10**6))
def test_smart_resize_equals_hugging_face(
    height: int, width: int, factor: int, least: int, most: int
) -> None:
    try:
        expected = original.smart_resize(height, width, factor, least, most)
    except ValueError:
        with pytest.raises(ImageError, match="200 times"):
            smart_resize(height, width, factor, least, most)
        return

    assert smart_resize(height, width, factor, least, most) == expected


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-3, 5), (0, 0)])
def test_images_without_pixels_are_refused(height: int, width: int) -> None:
    with pytest.raises(ImageError, match="has none"):
        smart_resize(height, width, 28, 3136, 50176)


def test_the_program_says_the_kind() -> None:
    settings = ProcessorSettings(resample=2, do_resize=False)

    fixed, native = pictures_of(FIXED, settings), pictures_of(DYNAMIC, settings)

    assert fixed == FixedSize(PatchLayout(), 56, 112, Resampling.LANCZOS)
    assert native == NativeResolution(
        PatchLayout(), 3136, 50176, 40, Resampling.BILINEAR, do_resize=False
    )


@pytest.mark.parametrize(
    ("settings", "bounds"),
    [
        ({}, (3136, 50176)),
        ({"min_pixels": 4000, "max_pixels": 40000}, (4000, 40000)),
        ({"size": {"shortest_edge": 4000, "longest_edge": 40000}}, (4000, 40000)),
        ({"size": {"longest_edge": 40000}, "min_pixels": 4000}, (4000, 40000)),
        ({"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 4000, "max_pixels": 40000},
         (4000, 40000)),
        ({"min_pixels": 100, "max_pixels": 12845056}, (3136, 50176)),
    ],
)  # fmt: skip
def test_bounds_in_every_spelling(settings: dict[str, Any], bounds: tuple[int, int]) -> None:
    if "size" in settings:
        settings = {**settings, "size": SizeSettings(**settings["size"])}

    pictures = pictures_of(DYNAMIC, ProcessorSettings(**settings))

    assert isinstance(pictures, NativeResolution)
    assert (pictures.min_pixels, pictures.max_pixels) == bounds


def test_what_programs_read() -> None:
    fixed = pictures_of(FIXED, ProcessorSettings())
    native = pictures_of(DYNAMIC, ProcessorSettings())

    assert fixed.refusal(Grid(7, 2, 4)) is None
    assert "56 x 112" in str(fixed.refusal(Grid(1, 4, 2)))
    assert native.refusal(Grid(7, 20, 20)) is None
    assert "42 patches" in str(native.refusal(Grid(1, 1, 21)))


def test_images_longer_than_the_table_are_refused() -> None:
    native = pictures_of(DYNAMIC, ProcessorSettings())

    assert native.size(30, 500) == (28, 504)
    with pytest.raises(ImageError, match="a side has 72 patches, at most 40"):
        native.size(40, 1000)


@pytest.mark.parametrize("size", [(27, 28), (28, 30), (0, 28)])
def test_images_that_may_not_be_resized_have_to_fit(size: tuple[int, int]) -> None:
    native = pictures_of(DYNAMIC, ProcessorSettings(do_resize=False))

    assert native.size(28, 56) == (28, 56)
    with pytest.raises(ImageError, match="multiples of 28"):
        native.size(*size)


@pytest.mark.parametrize(
    "pictures",
    [FixedSize(PatchLayout(), 28, 56), NativeResolution(PatchLayout(), 784, 100_000, 64)],
    ids=["fixed", "native"],
)
def test_images_get_their_size(pictures: Pictures) -> None:
    image = Image.new("RGB", (50, 20), (9, 9, 9))
    (only,) = pictures.frames(image)
    assert only.size == pictures.given(image).size == (56, 28)
    assert pictures.grid(20, 50) == Grid(1, 1, 2)
