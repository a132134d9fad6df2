"""Images come from COCO, from the user, or are drawn; bad ones cost only themselves."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vlmforge.calibrate import coco
from vlmforge.calibrate.images import SYNTHETIC, collect_images, find_images, require_images
from vlmforge.errors import CalibrationError
from vlmforge.images.layout import DYNAMIC


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the Hub."""

    def unreachable() -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(coco, "_find", unreachable)


def encoded(color: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A PNG file of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def serve(monkeypatch: pytest.MonkeyPatch, rows: Iterator[dict[str, Any]]) -> None:
    """Let COCO consist of these rows."""
    monkeypatch.setattr(coco, "_find", lambda: None)
    monkeypatch.setattr(coco, "_stream", lambda: rows)


def coco_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of which every third image is broken."""
    for index in range(count):
        data = b"broken" if index % 3 == 2 else encoded("red")
        yield {"image_id": index, "image": {"bytes": data, "path": None}}


def record(directory: Path) -> dict[str, Any]:
    """The ``source.json``."""
    value: dict[str, Any] = json.loads((directory / "source.json").read_text())
    return value


def test_coco(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    serve(monkeypatch, coco_rows(100))
    told: list[tuple[str, int, int]] = []
    collect_images(tmp_path / "images", 5, progress=lambda *now: told.append(now))
    assert [file.name for file in find_images(tmp_path / "images")] == [
        f"image_{index:04d}.jpg" for index in range(5)
    ]
    with Image.open(tmp_path / "images" / "image_0004.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (224, 224))
    facts = record(tmp_path / "images")
    assert (facts["source"], facts["split"]) == ("coco", "val")
    assert [name.rsplit("/", 1)[1] for name in facts["images"].values()] == list("01346")
    assert told[-1] == ("calibration images", 5, 5)


def test_without_coco_scenes_are_drawn_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        collect_images(tmp_path / "images", 3, seed=7, fallback=True)
    assert "no network" in caplog.text
    assert "3 synthetic scenes" in caplog.text
    assert len(find_images(tmp_path / "images")) == 3
    assert record(tmp_path / "images")["source"] == "scenes"
    assert record(tmp_path / "images")["seed"] == 7


def test_without_coco_nothing_else_is_taken_for_it(tmp_path: Path) -> None:
    for ask in (lambda: collect_images(tmp_path / "images", 3), lambda: require_images(None)):
        with pytest.raises(CalibrationError, match="no network") as caught:
            ask()
        assert "--images DIR" in (caught.value.mend or "")
        assert "--images synthetic" in (caught.value.mend or "")
    assert not (tmp_path / "images").exists()


def test_images_are_looked_for_before_the_work(tmp_path: Path) -> None:
    require_images(SYNTHETIC)
    require_images(own(tmp_path / "own", 1))
    with pytest.raises(CalibrationError):
        require_images(tmp_path / "none")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    with pytest.raises(CalibrationError, match="can be read"):
        require_images(tmp_path / "broken")


def test_scenes_depend_only_on_the_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        collect_images(tmp_path / name, 2, SYNTHETIC, seed=seed)
    first, same, other = (
        (tmp_path / name / "image_0000.jpg").read_bytes() for name in ("a", "b", "c")
    )
    assert first == same != other


def test_scenes_that_keep_their_sizes_lie_on_canvases(tmp_path: Path) -> None:
    collect_images(tmp_path / "images", 20, SYNTHETIC, layout=DYNAMIC)
    sizes = [Image.open(path).size for path in (tmp_path / "images").glob("*.jpg")]
    assert 2 < sizes.count((224, 224)) < 12 and len(set(sizes)) > 8
    assert all(224 <= side <= 448 for size in sizes for side in size)


def test_a_coco_that_breaks_off_leaves_no_mixture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from coco_rows(2)
        raise ConnectionError("gone")

    serve(monkeypatch, rows())
    collect_images(tmp_path / "images", 4, fallback=True)
    assert record(tmp_path / "images")["source"] == "scenes"
    assert len(record(tmp_path / "images")["images"]) == 4


def test_a_silent_hub_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(coco, "_find", lambda: time.sleep(5))
    monkeypatch.setattr(coco, "HUB_SECONDS", 0.1)
    start = time.monotonic()
    collect_images(tmp_path / "images", 1, fallback=True)
    assert time.monotonic() - start < 3
    assert record(tmp_path / "images")["source"] == "scenes"


def test_streaming_reads_undecoded_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(
        {"image_id": [9], "image": [{"bytes": encoded("blue"), "path": None}]},
        features=datasets.Features(
            {"image_id": datasets.Value("int64"), "image": datasets.Image()}
        ),
    )

    def load(name: str, split: str, streaming: bool) -> object:
        assert (name, split, streaming) == ("detection-datasets/coco", "val", True)
        return rows.to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(coco, "_find", lambda: None)
    ((name, image),) = coco.coco_images()
    assert name.endswith("/9")
    assert image.getpixel((0, 0)) == (0, 0, 255)


def own(directory: Path, count: int) -> Path:
    """A user's directory of images, one of them broken, and a note."""
    directory.mkdir()
    for index in range(count):
        (directory / f"{index}.png").write_bytes(encoded("green"))
    (directory / "broken.jpg").write_bytes(b"broken")
    (directory / "note.txt").write_text("not an image")
    return directory


def test_own_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = own(tmp_path / "own", 3)
    collect_images(tmp_path / "images", 100, source=source)
    facts = record(tmp_path / "images")
    assert facts["source"] == "directory"
    assert list(facts["images"].values()) == ["0.png", "1.png", "2.png"]
    assert "Skipping broken.jpg" in caplog.text
    assert "note.txt" not in caplog.text


def test_some_of_many_own_images(tmp_path: Path) -> None:
    source = own(tmp_path / "own", 12)
    for name, seed in (("a", 0), ("b", 0), ("c", 5)):
        collect_images(tmp_path / name, 4, source=source, seed=seed)
    first, same, other = (list(record(tmp_path / n)["images"].values()) for n in ("a", "b", "c"))
    assert first == sorted(first) == same != other
    assert len(first) == 4


def test_no_readable_own_image(tmp_path: Path) -> None:
    source = own(tmp_path / "own", 0)
    with pytest.raises(CalibrationError, match="no image can be read"):
        collect_images(tmp_path / "images", 3, source=source)
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("make", [None, "directory", "file"])
def test_no_images_to_find(tmp_path: Path, make: str | None) -> None:
    if make == "directory":
        (tmp_path / "own").mkdir()
    if make == "file":
        (tmp_path / "own").write_text("")
    with pytest.raises(CalibrationError) as caught:
        collect_images(tmp_path / "images", 3, source=tmp_path / "own")
    assert "vlmforge images" in (caught.value.mend or "")


def test_earlier_images_are_replaced_whole(tmp_path: Path) -> None:
    collect_images(tmp_path / "images", 5, SYNTHETIC)
    collect_images(tmp_path / "images", 2, SYNTHETIC)
    assert len(find_images(tmp_path / "images")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_failure_leaves_earlier_images(tmp_path: Path) -> None:
    collect_images(tmp_path / "images", 2, SYNTHETIC)
    with pytest.raises(CalibrationError):
        collect_images(tmp_path / "images", 3, source=own(tmp_path / "own", 0))
    assert len(find_images(tmp_path / "images")) == 2


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    source = own(tmp_path / "own", 2)
    with pytest.raises(CalibrationError, match="holds other files"):
        collect_images(source, 3, SYNTHETIC)
    assert (source / "note.txt").exists()


def test_no_images_asked_for(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="asked for"):
        collect_images(tmp_path / "images", 0)
