"""Images reach the vision program exactly as Hugging Face's processor would present them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlmforge.errors import RunError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.preprocess import ImagePreprocessor

META = {"image_size": [224, 224], "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SETTINGS = ProcessorSettings()
PREPROCESS = ImagePreprocessor.of(META, SETTINGS)


def noise(mode: str = "RGB", size: tuple[int, int] = (301, 173)) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels.squeeze(), mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_equals_the_hugging_face_processor(mode: str) -> None:
    image = noise(mode)
    resized = image.convert("RGB").resize((224, 224), Image.Resampling.LANCZOS)
    expected = Qwen2VLImageProcessorPil()(images=[resized], return_tensors="np")

    pixels = PREPROCESS(image)

    assert expected["image_grid_thw"].tolist() == [[1, 16, 16]]
    assert pixels.shape == (896, 56, 6) and pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, PREPROCESS.arrange(expected["pixel_values"]))


def test_patches_sit_in_their_merge_group() -> None:
    patches = np.arange(256, dtype=np.float32).repeat(1176).reshape(256, 1176)

    arranged = PREPROCESS.arrange(patches)

    assert all((arranged[i // 4 * 14 :][:14, i % 4 * 14 :][:, :14] == i).all() for i in range(256))


def test_another_size_and_switched_off_steps() -> None:
    meta = {**META, "image_size": [56, 112]}
    preprocess = ImagePreprocessor.of(meta, ProcessorSettings(do_rescale=False, do_normalize=False))

    pixels = preprocess(Image.new("RGB", (9, 9), (1, 2, 3)))

    assert preprocess.grid == (2, 4)
    assert pixels.shape == (8 * 14, 56, 6)
    assert np.unique(pixels[..., [0, 2, 4]].reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    noise(size=(60, 40)).save(tmp_path / "turned.png", exif=exif)
    upright = noise(size=(60, 40)).transpose(Image.Transpose.ROTATE_270)

    np.testing.assert_array_equal(PREPROCESS(tmp_path / "turned.png"), PREPROCESS(upright))


def test_unreadable_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"broken\.png"):
        PREPROCESS(tmp_path / "broken.png")


def test_the_defaults_are_hugging_faces() -> None:
    original = Qwen2VLImageProcessorPil()
    assert ProcessorSettings().image_mean == tuple(original.image_mean)
    assert ProcessorSettings().image_std == tuple(original.image_std)
    assert ProcessorSettings().rescale_factor == original.rescale_factor
