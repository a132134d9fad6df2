"""Images are brought to the size that they are divided at."""

from __future__ import annotations

from PIL import Image

from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import FixedSize, NativeResolution
from vlmforge.images.resizing import resize_image

PICTURE = Image.new("LA", (50, 20), (9, 128))


def test_all_get_one_size() -> None:
    resized = resize_image(PICTURE, FixedSize(PatchLayout(), 28, 56))
    assert (resized.mode, resized.size) == ("RGB", (56, 28))


def test_each_keeps_about_its_own() -> None:
    resized = resize_image(PICTURE, NativeResolution(PatchLayout(), 784, 100_000, 64))
    assert (resized.mode, resized.size) == ("RGB", (56, 28))
