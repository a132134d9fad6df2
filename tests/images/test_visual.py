"""Images and videos are told apart by their pixels, and given out slice by slice."""

from __future__ import annotations

import numpy as np

from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.visual import Frames, Patches

LAYOUT = PatchLayout(2, 2, 2)
NORMALIZE = Normalization.of(ProcessorSettings())


def frames(*shape: int, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    return Frames(pixels, LAYOUT, NORMALIZE)


def test_slices_are_the_parts_of_the_whole() -> None:
    video = frames(5, 8, 12)
    whole = LAYOUT.fold(NORMALIZE(video.frames))
    processed = Patches(whole, video.grid)

    assert video.grid == Grid(3, 2, 3)
    for index in range(3):
        expected = whole[index * 24 : (index + 1) * 24]
        np.testing.assert_array_equal(video.slice(index), expected)
        np.testing.assert_array_equal(processed.slice(index), expected)


def test_keys_tell_pixels_and_shapes_apart() -> None:
    image = frames(1, 8, 12)
    turned = Frames(image.frames.reshape(1, 12, 8, 3), LAYOUT, NORMALIZE)
    doubled = Frames(np.repeat(image.frames, 2, axis=0), LAYOUT, NORMALIZE)
    patches = image.slice(0)
    processed = [Patches(patches, image.grid), Patches(patches, Grid(1, 3, 2))]
    keys = [each.key for each in (image, turned, doubled, frames(1, 8, 12, seed=1), *processed)]

    assert len(set(keys)) == 6
    assert all(-(2**63) <= key < 0 for key in keys)
    assert frames(1, 8, 12).key == image.key
    assert Patches(patches.copy(), image.grid).key == processed[0].key
