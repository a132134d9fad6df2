"""Video files for tests; making them needs PyAV, which only videos need."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pyav() -> Any:
    """PyAV; without it the test is skipped, but for CI, where it has to be there."""
    if os.environ.get("CI"):
        import av

        return av
    return pytest.importorskip("av", reason="PyAV decodes videos")


def shade(index: int) -> int:
    """Brightness of a frame of :func:`film`."""
    return 20 * index % 250


def film(
    path: Path, frames: int = 10, codec: str = "mpeg4", size: tuple[int, int] = (64, 48)
) -> Path:
    """Write a film at 10 frames a second, brighter from frame to frame, width and height given."""
    av = pyav()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for index in range(frames):
            pixels = np.full((size[1], size[0], 3), shade(index), np.uint8)
            pixels[: size[1] // 2] //= 2  # the upper half is darker
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def turned(path: Path) -> Path:
    """Let an MP4 say that it is to be turned clockwise by 90 degrees."""
    data, one = bytearray(path.read_bytes()), 1 << 16
    matrix = data.index(b"tkhd") + 4 + 24 + 8 + 8
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
