"""Images are brought to the size that is compiled for."""

from __future__ import annotations

from PIL import Image

from vlmforge.images.resizing import resize_image


def test_resize_gives_rgb_of_the_size() -> None:
    resized = resize_image(Image.new("LA", (50, 20), (9, 128)), (28, 56))
    assert (resized.mode, resized.size) == ("RGB", (56, 28))
