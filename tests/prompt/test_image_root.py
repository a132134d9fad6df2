"""Clients name images below one directory, and learn nothing of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.images.films import film
from vlmforge.errors import RunError
from vlmforge.prompt.image_root import ImageRoot
from vlmforge.run.session import Session

REFUSED = ("../secret.png", "absent.png", "../absent.png", "link.png", "out", ".", "", "a\0b")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    for file in ("secret.png", "root/a.png", "root/sub/b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "root" / "within.png").symlink_to("sub/b.png")
    (tmp_path / "root" / "out").symlink_to("out")
    return tmp_path / "root"


def test_paths_below_are_found(root: Path) -> None:
    found = ImageRoot(root).resolve
    assert found("a.png") == found(root / "a.png") == found("sub/../a.png") == root / "a.png"
    assert found("within.png") == found(Path("sub/b.png")) == root / "sub" / "b.png"


def test_outside_and_missing_are_told_alike(root: Path) -> None:
    told = set()
    for path in (*REFUSED, root.parent / "secret.png", "/etc/passwd", "/absent", "x" * 9999):
        with pytest.raises(RunError) as raised:
            ImageRoot(root).resolve(path)
        told.add((raised.value.what, raised.value.mend))
    assert len(told) == 1


def test_a_session_has_a_root(tiny_package: Path, root: Path) -> None:
    session = Session.open(tiny_package, image_root=root)

    def ask(image: object) -> int:
        content = [{"type": "image", "image": image}]
        return len(session.prepare([{"role": "user", "content": content}])[1])

    assert ask("a.png") == ask(Image.new("RGB", (8, 8))) == 1
    with pytest.raises(RunError, match="below the image root"):
        ask(root.parent / "secret.png")


def test_videos_have_it_too(tiny_package: Path, root: Path) -> None:
    session = Session.open(tiny_package, image_root=root)

    def ask(video: object) -> int:
        content = [{"type": "video", "video": video}]
        return session.prepare([{"role": "user", "content": content}])[1][0].grid.frames

    assert ask(["a.png", root / "sub/b.png", Image.new("RGB", (8, 8))]) == 2
    assert ask(film(root / "film.mp4")) == ask("film.mp4") == 2
    film(root.parent / "secret.mp4")
    for video in (root.parent / "secret.mp4", "../secret.mp4", ["a.png", "../secret.png"], "sub"):
        with pytest.raises(RunError, match="below the image root"):
            ask(video)
