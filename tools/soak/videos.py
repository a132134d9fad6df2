"""Video files of several formats, as questions bring them."""

from __future__ import annotations

import importlib.util
import io
import random
from pathlib import Path
from typing import Any

from soak.damage import damaged_bytes
from soak.kind import Case

FILMS = (
    ("mp4", "mpeg4"),
    ("mp4", "libx264"),
    ("matroska", "mpeg4"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"),
    ("gif", "gif"),
)
"""Containers and codecs."""


def available() -> bool:
    """Whether videos can be decoded here."""
    return importlib.util.find_spec("av") is not None


class Videos:
    """A video file is read and prepared for the vision program."""

    name, share = "videos", 1.5

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.preprocess: Any = None

    def prepare(self, directory: Path) -> None:
        from vlmforge.formats.settings import VideoSettings
        from vlmforge.images.video_preprocess import VideoPreprocessor

        self.whole = [_film(*each) for each in FILMS]
        sizes = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
        bounds = {"min_pixels": 3136, "max_pixels": 50176, "max_patches": 200}
        meta = {**sizes, **bounds, "layout": "dynamic"}
        self.preprocess = VideoPreprocessor.of(meta, VideoSettings())

    def make(self, rng: random.Random) -> Case:
        return {"video": damaged_bytes(rng, rng.choice(self.whole))}

    def attempt(self, case: Case, directory: Path) -> None:
        from vlmforge.images.video import Video

        (directory / "video").write_bytes(case["video"])
        self.preprocess(Video(directory / "video"), room=1000)


def _film(form: str, codec: str) -> bytes:
    """Twelve frames of noise."""
    import av
    import numpy as np

    file, random = io.BytesIO(), np.random.default_rng(0)
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for _ in range(12):
            pixels = random.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
