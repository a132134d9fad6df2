"""Videos reach the vision program as Hugging Face's video processor would present them.

Its resizing needs torchvision, whose grey levels differ here and there; Pillow's are taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.images.films import film, shade
from tests.images.original import original, original_patches
from vlmforge.errors import ImageError, RunError, VideoError
from vlmforge.formats.settings import VideoSettings
from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.video import Video
from vlmforge.images.video_preprocess import VideoPreprocessor

SIZES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
BOUNDS = {"min_pixels": 3136, "max_pixels": 30000}
DYNAMIC = {**SIZES, **BOUNDS, "layout": "dynamic", "max_patches": 400}
FIXED = {**SIZES, "image_size": (56, 84)}
SETTINGS = VideoSettings()
PREPROCESS = VideoPreprocessor.of(DYNAMIC, SETTINGS)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def resized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames at a height and width, bicubic."""
    images = [
        Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC) for frame in frames
    ]
    return np.stack([np.asarray(image) for image in images])


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 300), st.integers(1, 300))
def test_frames_of_any_size_equal_hugging_face(count: int, height: int, width: int) -> None:
    frames = noise(count, height, width)
    try:
        size = original("smart_resize")(height, width, 28, *BOUNDS.values())
    except ValueError:
        with pytest.raises(ImageError, match="200 times"):
            PREPROCESS(Video(list(frames)))
        return
    numbers = Normalization.of(SETTINGS)(resized(frames, size))
    expected, grid = original_patches(numbers, PatchLayout())

    visual = PREPROCESS(Video(list(frames)))

    assert visual.grid == Grid.of_patches(grid, 2)
    found = [visual.slice(index) for index in range(visual.grid.frames)]
    np.testing.assert_array_equal(np.concatenate(found), expected)


@given(st.integers(2, 40), st.integers(1, 4000), st.integers(1, 4000))
def test_capped_sizes_equal_hugging_face(count: int, height: int, width: int) -> None:
    settings = VideoSettings(cap_pixels_per_frame=True, max_video_tokens=64)
    preprocess = VideoPreprocessor.of(DYNAMIC, settings)
    pictures = preprocess.images.pictures.shared(64, count)
    total = int(64 * 28 * 28 * 0.9)
    most = max(min(30000, total * 2 // count), int(3136 * 1.05))
    try:
        expected = original("smart_resize")(height, width, 28, 3136, most)
    except ValueError:
        return

    assert pictures.size(height, width) == expected
    assert preprocess.most_tokens == 64


def test_a_video_of_one_frame_is_no_image() -> None:
    pixels = noise(1, 56, 56)

    one, image = PREPROCESS(Video(list(pixels))), PREPROCESS.images(pixels[0])

    assert one.grid == image.grid == Grid(1, 2, 2)
    np.testing.assert_array_equal(one.slice(0), image.slice(0))
    assert one.key != image.key


def test_a_fixed_size_takes_videos() -> None:
    visual = VideoPreprocessor.of(FIXED, SETTINGS)(Video(list(noise(3, 20, 20))))

    assert visual.grid == Grid(2, 2, 3)
    assert visual.frames.shape == (4, 56, 84, 3)
    np.testing.assert_array_equal(visual.frames[2], visual.frames[3])


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, [0, 2, 5, 7]),
        ({"fps": 10}, list(range(10))),
        ({"fps": 5}, [0, 2, 5, 7]),
        ({"fps": 0.1, "min_frames": 2}, [0, 5]),
        ({"fps": 10, "max_frames": 5}, [0, 2, 5, 7]),
        ({"num_frames": 2}, [0, 5]),
    ],
)
def test_frames_of_files_are_sampled(
    tmp_path: Path, asked: dict[str, Any], shown: list[int]
) -> None:
    file = film(tmp_path / "a.mp4", size=(56, 56))

    visual = PREPROCESS(Video(file, **asked))

    assert visual.grid == Grid(len(shown) // 2, 2, 2)
    lower = visual.frames[:, 50, 50].mean(-1)
    assert np.allclose(lower, [shade(index) for index in shown], atol=12)


def test_slices_of_frames_are_as_far_apart_as_they_were_taken() -> None:
    timed, frames = (
        VideoPreprocessor.of({**DYNAMIC, "tokens_per_second": 2}, SETTINGS),
        noise(4, 56, 56),
    )
    unknown, known, again = (timed(Video(list(frames), sample_fps=fps)) for fps in (None, 4, 4))

    assert unknown.grid == (2, 2, 2, float(np.float32(2) * np.float32(2 / 24)))
    assert known.grid == (2, 2, 2, 1.0) and known.key == again.key != unknown.key
    assert PREPROCESS(Video(list(frames), sample_fps=1)).grid.pace == 1


def test_slices_of_files_are_as_far_apart_as_their_frames(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", size=(56, 56))
    timed = VideoPreprocessor.of({**DYNAMIC, "tokens_per_second": 3}, SETTINGS)

    for asked, rate in (({"fps": 10}, 10), ({}, 4), ({"num_frames": 6}, 6)):
        pace = timed(Video(file, **asked)).grid.pace  # type: ignore[arg-type]
        assert pace == float(np.float32(3) * np.float32(2 / rate))


def test_settings_say_what_is_usual(tmp_path: Path) -> None:
    settings = VideoSettings(num_frames=6)
    file = film(tmp_path / "a.mp4", size=(56, 56))

    preprocess = VideoPreprocessor.of(DYNAMIC, settings)

    assert preprocess(Video(file)).grid.frames == 3
    assert preprocess(Video(file, fps=10)).grid.frames == 5


def test_bounds_of_a_video() -> None:
    frames = list(noise(2, 200, 200))

    assert PREPROCESS(Video(frames)).grid == Grid(1, 6, 6)
    assert PREPROCESS(Video(frames, max_pixels=10000)).grid == Grid(1, 3, 3)
    assert PREPROCESS(Video(frames, max_pixels=10**7)).grid == Grid(1, 6, 6)
    assert PREPROCESS(Video(list(noise(2, 30, 30)), min_pixels=20000)).grid == Grid(1, 6, 6)


def test_more_tokens_than_there_is_room_for(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", size=(56, 56))

    assert PREPROCESS(Video(file), room=8).grid.tokens == 8
    with pytest.raises(VideoError, match=r"8 tokens, there is room for 7[^$]*max_frames"):
        PREPROCESS(Video(file), room=7)


def test_more_frames_than_the_file_has(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4")

    with pytest.raises(RunError, match=r"has 10 frames, 20 are asked for[^$]*a\.mp4"):
        PREPROCESS(Video(file, num_frames=20))
