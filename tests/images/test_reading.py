"""Images are read upright and in RGB; what would take much memory or time is refused before."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from vlmforge.errors import ImageError, RunError, SourceError
from vlmforge.images import reading as module
from vlmforge.images.reading import FORMATS, decode_image, read_image

EXIF_ORIENTATION = 0x0112


def picture(size: tuple[int, int] = (20, 30)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A black PNG of grays."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width + 1) * height, 10**6)))
    parts = ((b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "1", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_rgb(tmp_path: Path, form: str, mode: str) -> None:
    try:
        data = saved(Image.linear_gradient("L").resize((9, 5)).convert(mode), form)
    except (OSError, ValueError):
        pytest.skip("Pillow does not write it")
    (tmp_path / "image").write_bytes(data)

    image = read_image(tmp_path / "image")

    assert (image.mode, image.size) == ("RGB", (9, 5))
    assert image.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    picture().save(tmp_path / "turned.png", exif=exif)

    size = read_image(tmp_path / "turned.png").size

    assert size == ((30, 20) if orientation >= 5 else (20, 30))


def test_an_image_in_memory_is_copied() -> None:
    image = picture()
    assert read_image(image) is not image and read_image(image).tobytes() == image.tobytes()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_of_several_images_is_read(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    data = saved(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)

    assert decode_image(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "data", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40), saved(picture())[:700]]
)
def test_unreadable_images_are_refused(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "bad.png"
    if data is not None:
        path.write_bytes(data)

    for family in (SourceError, RunError):
        with pytest.raises(family, match=r"bad\.png") as raised:
            read_image(path)
        assert raised.value.mend is not None


@pytest.mark.parametrize("form", ["PPM", "ICO", "TGA", "EPS", "PDF"])
def test_other_formats_are_no_images(form: str) -> None:
    with pytest.raises(ImageError, match="not an image"):
        decode_image(saved(picture(), form))


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b", "x" * 5000])
def test_impossible_paths_are_refused(path: str) -> None:
    with pytest.raises(ImageError):
        read_image(path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), Path("/dev/tty")):
        reading = threading.Thread(target=_refused, args=(path,), daemon=True)
        reading.start()
        reading.join(5)
        assert not reading.is_alive(), path


def _refused(path: Path) -> None:
    with pytest.raises(ImageError):
        read_image(path)


def test_files_are_bounded(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.write(saved(picture()))
        file.truncate(module.MOST_BYTES + 1)

    with pytest.raises(ImageError, match="larger than 128 MB"):
        read_image(tmp_path / "large.png")


def _tiled() -> bytes:
    """A TIFF of few pixels whose one tile is large."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    numbers = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 1 << 16, 323: 1 << 14}
    tile = zlib.compress(bytes(1000))
    for tag, value in {**numbers, 325: len(tile)}.items():
        tags[tag] = value
    for _ in range(2):
        tags[324] = 8 + len(tags.tobytes(8))
    return b"II*\0\x08\0\0\0" + tags.tobytes(8) + tile


def _scans() -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = saved(picture((64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


def _run_lengths(width: int, height: int) -> bytes:
    """A BMP of few bytes that a step in its data extends by 255 rows."""
    data = b"\0\2\0\xff" * 4 + b"\0\1"
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 2, 2)
    start = 14 + len(info) + 8
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + bytes(8) + data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png(8001, 8000), "8001 x 8000 pixels"),
        (png(65536, 1), "65535 a side"),
        (png(1, 70000), "65535 a side"),
        (png(2**31 - 1, 2**31 - 1), "cannot be read"),
        (png(0, 5), "image"),
        (saved(Image.new("1", (8001, 8000)), "GIF"), "8001 x 8000 pixels"),
        (saved(Image.new("1", (8001, 8000)), "TIFF"), "8001 x 8000 pixels"),
        (saved(Image.new("L", (8001, 8000)), "JPEG", progressive=True), "8001 x 8000 pixels"),
        (_tiled(), "65536 x 16384 pixels"),
        (_scans(), "100 scans"),
        (_run_lengths(60000, 1000), "run-length"),
        (png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))), "cannot be read"),
        (png(8, 8, *[(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20)))] * 99), "cannot be read"),
    ],
)
def test_images_are_bounded_before_they_are_decoded(data: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=what):
        decode_image(data)


def test_images_in_memory_are_bounded() -> None:
    with pytest.raises(ImageError, match="8001 x 8000 pixels"):
        read_image(Image.new("1", (8001, 8000)))


def test_damaged_images_in_memory_are_refused() -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(Image.open(io.BytesIO(saved(picture())[:700])))


def test_a_large_jpeg_is_reduced() -> None:
    data = saved(Image.new("L", (10_000, 6500), 77), "JPEG")

    image = decode_image(data)

    assert image.size == (5000, 3250) and image.getpixel((9, 9)) == (77, 77, 77)


def test_the_largest_image_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(saved(Image.new("P", (8000, 8000)), "PNG"))
    script = (
        "import re, sys; from vlmforge.images.reading import read_image; read_image(sys.argv[1]);"
        "print(re.search(r'VmHWM: *(\\d+)', open('/proc/self/status').read().expandtabs())[1])"
    )

    command = [sys.executable, "-c", script, str(tmp_path / "large.png")]
    peak = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert peak < 700 * 1024


def test_damage_is_an_error_of_the_image() -> None:
    rng = random.Random(0)
    whole = [saved(picture((40, 32)).convert("P"), form) for form in ("PNG", "GIF", "BMP", "TIFF")]
    whole += [saved(picture((40, 32)), form) for form in ("JPEG", "WEBP")]

    for _ in range(500):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(1, 9)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(ImageError):
            assert decode_image(bytes(data)).mode == "RGB"
