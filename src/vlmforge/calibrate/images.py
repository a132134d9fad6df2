"""Collects the calibration images: COCO, the user's own, or drawn scenes."""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from vlmforge.calibrate.coco import DATASET, SPLIT, coco_images, require_coco
from vlmforge.calibrate.scenes import SIDE, SQUARE, draw_scene
from vlmforge.errors import CalibrationError, ImageError
from vlmforge.formats.atomic import atomic_directory
from vlmforge.formats.kinds import IMAGES, IMAGES_RECORD
from vlmforge.formats.output import require_replaceable
from vlmforge.images.layout import FIXED, Layout
from vlmforge.images.reading import read_image
from vlmforge.progress import Progress

logger = logging.getLogger(__name__)

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
QUALITY = 95

SYNTHETIC = "synthetic"
"""In place of a directory: drawn scenes, which serve the bundled sample alone."""

ImageSource = Path | str | None

Named = tuple[str, Image.Image]


def collect_images(
    output_dir: Path | str,
    num_images: int = 100,
    source: ImageSource = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    layout: Layout = FIXED,
    fallback: bool = False,
) -> Path:
    """Fill a directory with RGB JPEG images and a ``source.json``.

    Args:
        output_dir: replaced as a whole, and only if it is missing, empty or of this function.
        num_images: how many; fewer where the user has fewer.
        source: a directory of the user's own images, :data:`SYNTHETIC` scenes, or None for COCO
            2017 validation.
        seed: draws the scenes; chooses among the user's images where there are more.
        progress: is told of every image.
        layout: images of one size are resized to it, by Lanczos; others keep their own.
        fallback: whether scenes are drawn where COCO cannot be had.

    Returns:
        ``output_dir``.

    Raises:
        CalibrationError: COCO cannot be had, there is no readable image, or ``output_dir`` holds
            other files.
    """
    output = Path(output_dir)
    if num_images < 1:
        raise CalibrationError("no images are asked for", mend="ask for 1 image or more")
    require_replaceable(output, IMAGES)
    if source == SYNTHETIC:
        return _write_scenes(output, num_images, seed, layout, progress)
    if source is not None:
        found = _own_images(Path(source), num_images, seed)
        return _write(output, found, {"source": "directory"}, num_images, layout, progress)
    coco = {"source": "coco", "dataset": DATASET, "split": SPLIT}
    try:
        found = islice(coco_images(), num_images)
        return _write(output, found, coco, num_images, layout, progress)
    except CalibrationError as error:
        if not fallback:
            raise
        logger.warning("%s\nDrawing %d synthetic scenes instead of photos.", error, num_images)
    return _write_scenes(output, num_images, seed, layout, progress)


def require_images(source: ImageSource) -> None:
    """Check, before any work, that images can be had; raises :class:`CalibrationError`."""
    if source is None:
        require_coco()
    elif source != SYNTHETIC and next(readable(find_images(source)), None) is None:
        raise CalibrationError(
            "no image of the directory can be read",
            where=source,
            mend="name a directory of photos with --images, such as PNG or JPEG files",
        )


def find_images(directory: Path | str) -> list[Path]:
    """The image files of a directory, sorted by name.

    Raises:
        CalibrationError: there is no such directory, or no image in it.
    """
    mend = "name a directory of images with --images; `vlmforge images` makes one"
    try:
        files = sorted(Path(directory).iterdir())
    except OSError as error:
        raise CalibrationError(
            f"the directory of images cannot be read: {error.strerror}", where=directory, mend=mend
        ) from error
    images = [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not images:
        raise CalibrationError("the directory holds no images", where=directory, mend=mend)
    return images


def readable(paths: Iterable[Path]) -> Iterator[tuple[Path, Image.Image]]:
    """The images that can be read; the others are reported and left out."""
    for path in paths:
        try:
            yield path, read_image(path)
        except ImageError as error:
            logger.warning("Skipping %s: %s", path.name, error.what)


def looked_at(directory: Path, count: int, seed: int) -> tuple[list[str], list[Path]]:
    """What decides which of the user's images are chosen.

    Returns:
        The names of all images, and the files looked at until ``count`` were readable; what the
        others hold changes nothing.
    """
    files = find_images(directory)
    names, shuffled = [file.name for file in files], _shuffled(files, seed)
    found = [path for path, _ in islice(readable(shuffled), count)]
    return names, shuffled[: shuffled.index(found[-1]) + 1] if len(found) == count else shuffled


def _own_images(directory: Path, count: int, seed: int) -> Iterator[Named]:
    """``count`` readable images of the user's, chosen at random, in order of their names."""
    files = _shuffled(find_images(directory), seed)
    chosen = sorted(path for path, _ in islice(readable(files), count))
    return ((path.name, image) for path, image in readable(chosen))


def _shuffled(files: list[Path], seed: int) -> list[Path]:
    shuffled = list(files)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def _write_scenes(
    output: Path, count: int, seed: int, layout: Layout, progress: Progress | None
) -> Path:
    facts = {"source": "scenes", "seed": seed}
    return _write(output, _scenes(count, seed, layout), facts, count, layout, progress)


def _scenes(count: int, seed: int, layout: Layout) -> Iterator[Named]:
    """Synthetic scenes of consecutive seeds.

    Where images keep their sizes, about two of three lie on shaded canvases of sizes of their own.
    """
    for number in range(seed, seed + count):
        chance, canvas = random.Random(number), SQUARE
        shaded = not layout.fixed and chance.random() < 2 / 3
        if shaded:
            canvas = (chance.randint(SIDE, 2 * SIDE), chance.randint(SIDE, 2 * SIDE))
        yield f"scene {number}", draw_scene(number, canvas=canvas, shaded=shaded).image


def _sized(image: Image.Image, layout: Layout) -> Image.Image:
    if layout.image_size is None:
        return image
    height, width = layout.image_size
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image) -> bytes:
    """The bytes of a JPEG file; an encoder that writes to a file may miss that the disk is full."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _write(
    output: Path,
    images: Iterable[Named],
    facts: dict[str, Any],
    total: int,
    layout: Layout,
    progress: Progress | None,
) -> Path:
    """Write the images and the record; the directory appears only when it is whole."""
    origins = {}
    with atomic_directory(output, IMAGES) as new:
        for index, (origin, image) in enumerate(images):
            file = f"image_{index:04d}.jpg"
            (new / file).write_bytes(_jpeg(_sized(image, layout)))
            origins[file] = origin
            if progress is not None:
                progress("calibration images", index + 1, total)
        if not origins:
            raise CalibrationError(
                "no image can be read", mend="name a directory of photos with --images"
            )
        record = {**facts, **layout.facts(), "images": origins}
        (new / IMAGES_RECORD).write_text(
            json.dumps(record, indent=2) + "\n", encoding="utf-8", newline="\n"
        )
    return output
