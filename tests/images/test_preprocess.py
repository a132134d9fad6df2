"""Images reach the vision program exactly as Hugging Face's processor would present them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import load_image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlmforge.errors import ImageError, RunError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.preprocess import ImagePreprocessor

SIZES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
META = {**SIZES, "image_size": [224, 224]}
BOUNDS = {"min_pixels": 56 * 56, "max_pixels": 160 * 160}
DYNAMIC = {**SIZES, **BOUNDS, "layout": "dynamic", "max_patches": 400}
PREPROCESS = ImagePreprocessor.of(META, ProcessorSettings())
ORIGINAL = Qwen2VLImageProcessorPil(
    size={"shortest_edge": BOUNDS["min_pixels"], "longest_edge": BOUNDS["max_pixels"]}
)
SIDE = st.one_of(st.integers(1, 60), st.integers(1, 700))


def noise(mode: str = "RGB", size: tuple[int, int] = (301, 173)) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_fixed_size_equals_hugging_face(mode: str) -> None:
    image = noise(mode)
    resized = image.convert("RGB").resize((224, 224), Image.Resampling.LANCZOS)
    expected = Qwen2VLImageProcessorPil()(images=[resized], return_tensors="np")

    visual = PREPROCESS(image)

    assert visual.grid.patches(2) == tuple(expected["image_grid_thw"][0])
    assert visual.slice(0).shape == (256, 1176) and visual.slice(0).dtype == np.float32
    np.testing.assert_array_equal(visual.slice(0), expected["pixel_values"])


@settings(max_examples=500)
@given(SIDE, SIDE, st.sampled_from(["RGB", "RGBA", "L"]), st.integers(0, 5))
def test_any_size_equals_hugging_face(height: int, width: int, mode: str, resample: int) -> None:
    image = noise(mode, (width, height))
    preprocess = ImagePreprocessor.of(DYNAMIC, ProcessorSettings(resample=resample))
    try:
        expected = ORIGINAL(images=[load_image(image)], resample=resample, return_tensors="np")
    except ValueError:
        with pytest.raises(ImageError, match="200 times"):
            preprocess(image)
        return

    visual = preprocess(image)

    assert visual.grid.patches(2) == tuple(expected["image_grid_thw"][0])
    np.testing.assert_array_equal(visual.slice(0), expected["pixel_values"])


def test_another_size_and_switched_off_steps() -> None:
    meta = {**META, "image_size": [56, 112]}
    preprocess = ImagePreprocessor.of(meta, ProcessorSettings(do_rescale=False, do_normalize=False))

    visual = preprocess(Image.new("RGB", (9, 9), (1, 2, 3)))

    assert visual.grid == Grid(1, 2, 4)
    values = visual.slice(0).reshape(32, 3, 392)
    assert np.unique(values.transpose(0, 2, 1).reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = noise()
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels.save(tmp_path / "turned.png", exif=exif)

    turned = PREPROCESS(tmp_path / "turned.png")

    upright = pixels.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(turned.slice(0), PREPROCESS(upright).slice(0))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        PREPROCESS(tmp_path / "none.png")


def test_the_defaults_are_hugging_faces() -> None:
    original, ours = Qwen2VLImageProcessorPil(), ProcessorSettings()
    assert ours.image_mean == tuple(original.image_mean)
    assert ours.image_std == tuple(original.image_std)
    assert (ours.rescale_factor, ours.resample) == (original.rescale_factor, original.resample)


def test_more_tokens_than_there_is_room_for() -> None:
    assert PREPROCESS(noise(), room=64).grid.tokens == 64
    with pytest.raises(ImageError, match=r"64 tokens, there is room for 0[^$]*max_length"):
        PREPROCESS(noise(), room=-3)


def test_pixels_of_callers() -> None:
    pixels = np.asarray(noise())

    np.testing.assert_array_equal(PREPROCESS(pixels).slice(0), PREPROCESS(noise()).slice(0))
