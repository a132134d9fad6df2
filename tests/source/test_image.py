"""Images are read upright and in RGB; files that are no images are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vlmforge.errors import SourceError
from vlmforge.source.image import read_image, resize_image

EXIF_ORIENTATION = 0x0112


def test_resize_gives_rgb_of_the_size() -> None:
    resized = resize_image(Image.new("LA", (50, 20), (9, 128)), (28, 56))
    assert (resized.mode, resized.size) == ("RGB", (56, 28))


def test_images_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.new("RGB", (20, 30)).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").size == (30, 20)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_unreadable_images_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(SourceError, match="cannot be read"):
        read_image(tmp_path / "bad.png")
    with pytest.raises(SourceError, match="cannot be read"):
        read_image(tmp_path / "absent.png")
