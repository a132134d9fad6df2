"""The kinds of outputs, and what each proves itself by."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vlmforge.config import CompileConfig
from vlmforge.errors import CalibrationError, ConfigError, FormatError, PackageError, RotationError
from vlmforge.formats.document import parse_object
from vlmforge.formats.kind import Kind
from vlmforge.formats.package import CONFIG_FILE, PACKAGE_FILES, program_files
from vlmforge.formats.tensor_file import TensorFile

MAX_DOCUMENT = 1 << 28
"""Bytes; a longer JSON file is not this project's."""

IMAGES_RECORD = "source.json"
IMAGE_NAME = re.compile(r"image_\d{4,}\.jpg")

SAMPLES_FORMAT = "vlmforge.samples"
SAMPLES_RECORD = "metadata.json"
SAMPLES_LIST = "npy_files.txt"

STEP_FORMAT: Final = "vlmforge.step"
LOCK_FORMAT: Final = "vlmforge.lock"

PAGE_MARK = b'<meta name="generator" content="vlmforge diagnose">'
"""What a report for a browser begins with."""

HEAD = 1024
"""Bytes in which that stands."""


def _stray(directory: Path, names: Collection[str], folders: Collection[str] = ()) -> Path | None:
    """The first entry that is neither a plain file of these names nor such a folder."""
    for entry in sorted(directory.iterdir()):
        is_file = entry.name in names and entry.is_file()
        is_folder = entry.name in folders and entry.is_dir()
        if entry.is_symlink() or not (is_file or is_folder):
            return entry
    return None


def _document(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty if there is none."""
    with suppress(OSError, FormatError):
        if path.is_file() and path.stat().st_size <= MAX_DOCUMENT:
            return parse_object(path.read_bytes(), path.name, path)
    return {}


def _foreign_to_package(directory: Path) -> Path | None:
    config = _document(directory / CONFIG_FILE)
    programs = program_files(config)
    if not programs or not str(config.get("model_type")).startswith("mobilint-"):
        return _stray(directory, ())
    return _stray(directory, {*PACKAGE_FILES, *programs})


def _foreign_to_images(directory: Path) -> Path | None:
    images = _document(directory / IMAGES_RECORD).get("images")
    if not isinstance(images, dict):
        return _stray(directory, ())
    return _stray(directory, {IMAGES_RECORD, *filter(IMAGE_NAME.fullmatch, images)})


def _foreign_to_samples(directory: Path) -> Path | None:
    record = _document(directory / SAMPLES_RECORD)
    samples = record.get("samples")
    if record.get("format") != SAMPLES_FORMAT or not isinstance(samples, list):
        return _stray(directory, ())
    arrays = {s["name"]: s.get("arrays", ()) for s in samples if _is_named(s)}
    found = _stray(directory, {SAMPLES_RECORD, SAMPLES_LIST}, arrays)
    for name, listed in arrays.items():
        if found is None and (directory / name).is_dir():
            found = _stray(directory / name, {f"{array}.npy" for array in listed})
    return found


def _is_named(sample: object) -> bool:
    return isinstance(sample, Mapping) and isinstance(sample.get("name"), str)


def _unless(holds: Callable[[Path], bool]) -> Callable[[Path], Path | None]:
    """A file is foreign unless something holds."""
    return lambda path: None if holds(path) else path


def _is_configuration(path: Path) -> bool:
    """Whether the file is to the letter what is written of the configuration in it."""
    try:
        config = CompileConfig.parse(_document(path))
        return path.read_bytes() == configuration_text(config)
    except (OSError, ConfigError):
        return False


def configuration_text(config: CompileConfig) -> bytes:
    """A configuration as it is written for people: JSON without what is by default."""
    document = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return (json.dumps(document, indent=2) + "\n").encode()


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return PAGE_MARK in file.read(HEAD)


def container(form: str) -> Kind:
    """The kind of a container file, such as ``.mxq``."""

    def holds(path: Path) -> bool:
        with suppress(FormatError):
            return TensorFile.open(path).metadata.get("format") == form
        return False

    return Kind(f"a .{form} file", _unless(holds), error=FormatError)


PACKAGE = Kind("a package", _foreign_to_package, CONFIG_FILE, PackageError)
IMAGES = Kind("calibration images", _foreign_to_images, IMAGES_RECORD, CalibrationError)
SAMPLES = Kind("calibration samples", _foreign_to_samples, SAMPLES_RECORD, CalibrationError)
FOLDER = Kind("a directory", lambda path: None, "")
"""Whose entries are replaced one by one."""

GRAPH, PROGRAM, VALUES = container("mblt"), container("mxq"), container("infer")
KEPT = container("kept")
CONFIGURATION = Kind("a configuration", _unless(_is_configuration))
PAGE = Kind("a report", _unless(_is_page))
CAPTURE_REPORT = Kind(
    "a report of a capture", _unless(lambda path: {"compared", "worst"} <= set(_document(path)))
)
STEP_RECORD = Kind(
    "a record of a step", _unless(lambda path: _document(path).get("format") == STEP_FORMAT)
)
LOCK_NOTE = Kind(
    "a note of a lock", _unless(lambda path: _document(path).get("format") == LOCK_FORMAT)
)
EMPTY = Kind("an empty file", _unless(lambda path: path.stat().st_size == 0))
ROTATION = Kind(
    "a rotation",
    _unless(lambda path: _document(path.with_suffix(".json")).get("kind") == "R1"),
    error=RotationError,
)
