"""Clips are sampled, sized and timed as transformers' processors of Qwen3-VL do it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from tests.images.films import film
from tests.images.original import TIMED, original
from vlmforge.errors import ImageError, VideoError
from vlmforge.formats.settings import VideoSettings
from vlmforge.images.clip import ClipBudget, EvenSampling, clip_resize, moments, timed_labels
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import FixedSize, NativeResolution
from vlmforge.images.video import Video
from vlmforge.images.video_preprocess import VideoPreprocessor

LAYOUT = PatchLayout(16, 2, 2)
META = {
    **LAYOUT.facts(),
    "layout": "dynamic",
    "min_pixels": 1024,
    "max_pixels": 1 << 20,
    "max_patches": 1024,
    "videos": "timed",
}
PREPROCESS = VideoPreprocessor.of(META, VideoSettings())
SIDE = st.integers(1, 3000)


@settings(max_examples=200)
@given(st.integers(2, 700), SIDE, SIDE, st.integers(1024, 1 << 17), st.integers(1 << 17, 1 << 25))
def test_sizes_equal_transformers(
    frames: int, height: int, width: int, least: int, most: int
) -> None:
    arguments = (frames, height, width)
    try:
        expected = original("smart_resize", TIMED)(*arguments, 2, 32, least, most)
    except ValueError:
        with pytest.raises(ImageError, match="200 times"):
            clip_resize(*arguments, 32, least, most, 2)
        return
    assert clip_resize(*arguments, 32, least, most, 2) == expected


@settings(max_examples=200)
@given(st.integers(2, 700), SIDE, SIDE, st.integers(1, 1000))
def test_capped_sizes_equal_transformers(frames: int, height: int, width: int, cap: int) -> None:
    pictures = NativeResolution(LAYOUT, 1024, 1 << 24, 1 << 12)
    least, most = 4096, 1 << 24
    capped = max(min(cap * 1024, most // frames), int(least * 1.05)) * frames
    try:
        expected = original("smart_resize", TIMED)(frames, height, width, 2, 32, least, capped)
    except ValueError:
        return
    assert ClipBudget(least, most, cap).size(pictures, height, width, frames) == expected


def test_no_frame_has_more_pixels_than_an_image() -> None:
    pictures = NativeResolution(LAYOUT, 1024, 64 * 1024, 1 << 12)
    rows, columns = ClipBudget(4096, 1 << 25).size(pictures, 2000, 1500, 4)
    assert rows * columns <= 64 * 1024 < (rows + 32) * (columns + 32)
    assert ClipBudget(4096, 1 << 25).size(FixedSize(LAYOUT, 64, 96), 2000, 1500, 4) == (64, 96)
    short = replace(pictures, max_patches=4)
    with pytest.raises(ImageError, match="at most 4"):
        ClipBudget(4096, 1 << 25).size(short, 2000, 1500, 4)


@settings(max_examples=200)
@given(
    st.integers(1, 20000),
    st.one_of(st.none(), st.floats(0.5, 240)),
    st.one_of(st.none(), st.floats(0.01, 60)),
    st.one_of(st.none(), st.integers(1, 800)),
    st.integers(1, 20),
    st.integers(20, 800),
)
def test_frames_equal_transformers(
    total: int, rate: float | None, fps: float | None, count: int | None, least: int, most: int
) -> None:
    processor = SimpleNamespace(fps=fps or 2, num_frames=None, min_frames=least, max_frames=most)
    metadata = SimpleNamespace(total_num_frames=total, fps=rate or 24)
    sampling = EvenSampling(fps or 2, count, least, most)
    if count is not None and count > total:
        with pytest.raises(VideoError, match=f"has {total} frames"):
            sampling.indexes(total, rate)
        return
    sample = original("sample_frames", TIMED)
    assert sampling.indexes(total, rate).tolist() == sample(processor, metadata, count).tolist()


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 20000), min_size=1, max_size=40).map(sorted),
    st.one_of(st.none(), st.floats(0.5, 240)),
    st.sampled_from([1, 2, 3]),
)
def test_times_equal_transformers(indexes: list[int], rate: float | None, time: int) -> None:
    expected = Qwen3VLProcessor._calculate_timestamps(None, list(indexes), rate or 24, time)
    found = moments(np.array(indexes), rate, time)
    assert list(found) == expected
    times = [f"<{each:.1f} seconds><|vision_start|>" for each in expected]
    assert "".join(timed_labels(found)) == "<|vision_end|>".join([*times, ""])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_slices_are_shown_as_images_of_their_own(count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 64, 96, 3), np.uint8)
    video = PREPROCESS(Video(list(pixels)))
    slices = -(-count // 2)
    assert video.grid.frames == slices == len(video.moments) == len(video.parts)
    for index, part in enumerate(video.parts):
        assert part.grid == video.grid._replace(frames=1) and part.parts == (part,)
        np.testing.assert_array_equal(part.slice(0), video.slice(index))
    assert len({part.key for part in video.parts}) == slices
    still = Image.fromarray(pixels[0])
    assert PREPROCESS.images(still).parts[0].grid.frames == 1


def test_pixels_and_patches_are_those_of_transformers() -> None:
    rng = np.random.default_rng(1)
    frames = [Image.fromarray(rng.integers(0, 256, (70, 50, 3), np.uint8)) for _ in range(3)]
    video = PREPROCESS(Video(frames))
    size = original("smart_resize", TIMED)(3, 70, 50, 2, 32, 1024, 3 << 20)
    resized = [np.asarray(each.resize(size[::-1], Image.Resampling.BICUBIC)) for each in frames]
    numbers = PREPROCESS.images.normalize(np.stack(resized))
    tensor = torch.from_numpy(numbers.transpose(0, 3, 1, 2)[None].copy())
    patches, *grid = original("patchify", TIMED)(None, tensor, 16, 2, 2)
    assert list(video.grid.patches(2)) == grid
    found = np.concatenate([part.slice(0) for part in video.parts])
    np.testing.assert_array_equal(found, patches[0].numpy())


def test_files_say_their_rate(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", frames=10, size=(64, 64))
    video = PREPROCESS(Video(file, num_frames=4))
    assert "0.1 seconds" in video.labels[0] and "0.8 seconds" in video.labels[1]


def test_frames_are_told_theirs() -> None:
    frames = list(np.zeros((4, 64, 64, 3), np.uint8))
    video = PREPROCESS(Video(frames, sample_fps=2))
    assert "0.2 seconds" in video.labels[0] and "1.2 seconds" in video.labels[1]
