"""Videos are decoded frame by frame, within bounds, and whatever is wrong is told."""

from __future__ import annotations

import os
import random
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images.films import film, pyav, shade, turned
from vlmforge.errors import ImageError, RunError, VideoError
from vlmforge.images import footage
from vlmforge.images.footage import open_video


def frames(source: Any, *indexes: int) -> list[Image.Image]:
    with open_video(source) as found:
        return list(found.chosen(np.array(indexes)))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mpeg4"),
        ("a.mov", "libx264"),
        ("a.mkv", "mpeg4"),
        ("a.webm", "libvpx"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("a.gif", "gif"),
    ],
)
def test_any_format(tmp_path: Path, name: str, codec: str) -> None:
    file = film(tmp_path / name, codec=codec)

    with open_video(file) as found:
        assert (found.frames, found.rate, found.height, found.width) == (10, 10.0, 48, 64)
        shown = list(found.chosen(np.array([0, 3, 4, 9])))

    assert [frame.size for frame in shown] == [(64, 48)] * 4
    lower = [np.asarray(frame)[40, 30].mean() for frame in shown]
    assert np.allclose(lower, [shade(index) for index in (0, 3, 4, 9)], atol=40)


def test_frames_beyond_the_end_are_left_out(tmp_path: Path) -> None:
    assert len(frames(film(tmp_path / "a.mp4"), 0, 9, 12)) == 2


def test_a_turned_film_is_set_upright(tmp_path: Path) -> None:
    file = turned(film(tmp_path / "a.mp4"))

    with open_video(file) as found:
        assert (found.height, found.width) == (64, 48)
        (frame,) = found.chosen(np.array([8]))

    pixels = np.asarray(frame).mean(-1)
    assert frame.size == (48, 64)
    assert pixels[:, 40].mean() < pixels[:, 5].mean()  # what was above is at the right


def test_frames_of_callers(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)
    images = [Image.fromarray(each) for each in pixels]
    images[1].save(tmp_path / "1.png")

    for source in (images, list(pixels), pixels, (images[0], tmp_path / "1.png", pixels[2])):
        with open_video(source) as found:
            assert (found.frames, found.rate, found.height, found.width) == (3, None, 6, 8)
            shown = list(found.chosen(np.arange(3)))
        np.testing.assert_array_equal(np.stack([np.asarray(each) for each in shown]), pixels)


def test_frames_of_other_sizes_are_refused() -> None:
    with pytest.raises(VideoError, match=r"frame 2 has 8 x 8 pixels, the first 9 x 8"):
        frames([Image.new("RGB", (8, 9)), Image.new("RGB", (8, 8))], 0, 1)


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 0, 3), np.uint8)]
)
def test_frames_that_are_no_images(frame: np.ndarray) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        frames([frame], 0)


def test_no_frames() -> None:
    with pytest.raises(VideoError, match="no frames"):
        frames([], 0)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(VideoError, match=r"pip install \"vlmforge\[video\]\""):
        frames(tmp_path / "a.mp4", 0)
    assert len(frames([Image.new("RGB", (8, 8))], 0)) == 1


def test_what_is_no_video(tmp_path: Path) -> None:
    pyav()
    (tmp_path / "text.mp4").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile '/etc/passwd'\n")
    (tmp_path / "empty.mp4").touch()
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 8000, "NONE", "not compressed"))
        sound.writeframes(bytes(8000))
    os.mkfifo(tmp_path / "pipe.mp4")
    for file in [*tmp_path.iterdir(), tmp_path / "none.mp4", tmp_path]:
        with pytest.raises(VideoError, match="cannot be decoded") as raised:
            frames(file, 0)
        assert isinstance(raised.value, RunError) and str(tmp_path) in str(raised.value)


def test_a_file_without_a_video_in_it(tmp_path: Path) -> None:
    av = pyav()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())

    with pytest.raises(VideoError, match="no video in it"):
        frames(tmp_path / "sound.mp4", 0)


@pytest.mark.parametrize(
    ("bound", "value", "what"),
    [
        ("MOST_BYTES", 100, "larger than"),
        ("MOST_PIXELS", 1000, "64 x 48 pixels"),
        ("LONGEST_SIDE", 63, "64 x 48 pixels"),
        ("MOST_FRAMES", 9, "10 frames"),
        ("MOST_DECODED", 64 * 48 * 9, "10 frames"),
        ("MOST_SECONDS", 0.5, "lasts 1 seconds"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_large_videos_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: str, value: Any, what: str
) -> None:
    file = film(tmp_path / name)
    monkeypatch.setattr(footage, bound, value)

    with pytest.raises(VideoError, match=what):
        frames(file, 0)


def test_too_many_frames_of_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "MOST_FRAMES", 2)
    with pytest.raises(VideoError, match="has 3 frames, at most 2"):
        frames([Image.new("RGB", (8, 8))] * 3, 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.avi"])
def test_damage_is_an_error_of_the_video(tmp_path: Path, name: str) -> None:
    whole = film(tmp_path / name, codec="gif" if name == "a.gif" else "mpeg4").read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        data = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.3 else whole)
        for _ in range(rng.randrange(20)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / name).write_bytes(data)
        try:
            shown = frames(tmp_path / name, 0, 3, 9)
        except VideoError as error:
            assert error.mend
        else:
            assert all(frame.mode == "RGB" for frame in shown)
