"""Images of many formats, as questions bring them."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from soak.damage import damaged_bytes
from soak.kind import Case

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO", "TGA", "DDS", "PCX", "ICNS")
SIZES = (0, 1, 28, 2**15, 2**16 - 1, 2**24, 2**31 - 1)


class Images:
    """An image file is read and prepared for the vision program."""

    name, share = "images", 1.5

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.preprocesses: list[Any] = []

    def prepare(self, directory: Path) -> None:
        from PIL import Image

        from vlmforge.formats.settings import ProcessorSettings
        from vlmforge.images.preprocess import ImagePreprocessor

        for mode in ("RGB", "L", "1", "P", "RGBA", "CMYK", "I;16", "F"):
            for form in FORMATS:
                file = io.BytesIO()
                try:
                    Image.linear_gradient("L").resize((40, 32)).convert(mode).save(file, form)
                except (OSError, KeyError, ValueError):
                    continue
                self.whole.append(file.getvalue())
        sizes = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
        bounds = {"min_pixels": 3136, "max_pixels": 12845056, "max_patches": 1000}
        for layout in ({"image_size": (224, 224)}, {"layout": "dynamic", **bounds}):
            meta = {**sizes, **layout}
            self.preprocesses.append(ImagePreprocessor.of(meta, ProcessorSettings()))

    def make(self, rng: random.Random) -> Case:
        if rng.random() < 0.1:
            return {"image": _bomb(rng)}
        return {"image": damaged_bytes(rng, rng.choice(self.whole))}

    def attempt(self, case: Case, directory: Path) -> None:
        (directory / "image").write_bytes(case["image"])
        for preprocess in self.preprocesses:
            preprocess(directory / "image").slice(0)


@functools.cache
def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size))


def _bomb(rng: random.Random) -> bytes:
    """A PNG that is small and claims to be large."""
    header = struct.pack(
        ">IIBBBBB", rng.choice(SIZES), rng.choice(SIZES), 8, rng.choice((0, 2, 3, 6)), 0, 0, 0
    )
    data = _zeros(rng.choice((10, 10_000, 30_000_000)))
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
