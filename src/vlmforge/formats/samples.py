"""Calibration samples: directories of ``.npy`` files that say which model they are for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from pydantic import ConfigDict

from vlmforge.dims import Mismatch, Shape, bind
from vlmforge.errors import CalibrationError, FormatError
from vlmforge.formats.document import Document, parse_object, validate
from vlmforge.formats.sample_writer import VERSION, SampleWriter

__all__ = ["ExpectedShapes", "Sample", "SampleWriter", "Samples", "read_samples"]

MEND = (
    "name the samples of this model with --calibration, or make them: "
    "`vlmforge calibrate COMPONENT MODEL`"
)

ExpectedShapes = Mapping[str, Shape]
"""Array name to its shape; a name in it stands for one size in all arrays of a sample."""


class _ArrayFacts(Document):
    shape: tuple[int, ...]
    dtype: str


class _SampleFacts(Document):
    """One sample in ``metadata.json``; prompt, image and the like stand beside these."""

    model_config = ConfigDict(extra="allow")

    name: str
    arrays: dict[str, _ArrayFacts]


class _Metadata(Document):
    """``metadata.json``; the model's facts stand beside these."""

    model_config = ConfigDict(extra="allow")

    format: Literal["vlmforge.samples"]
    version: int
    component: Literal["language", "vision"]
    count: int
    samples: tuple[_SampleFacts, ...]


@dataclass(frozen=True)
class Sample:
    """One calibration input.

    Attributes:
        directory: ``sample_NNN``.
        arrays: names of its arrays.
        facts: what the writer kept of it: prompt, image, ...
    """

    directory: Path
    arrays: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return self.directory.name

    def load(self) -> dict[str, np.ndarray]:
        """The arrays by name; raises :class:`CalibrationError` if one has NaN or infinity."""
        arrays = {name: np.array(_map(self._file(name)), order="C") for name in self.arrays}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise _refuse(f"{name} of {self.name} has NaN or infinite values", self.directory)
        return arrays

    def require(self, found: Mapping[str, _ArrayFacts], expect: ExpectedShapes) -> None:
        """Raise :class:`CalibrationError` unless the files are as written and as expected."""
        for name, facts in found.items():
            array = _map(self._file(name))
            if (array.shape, array.dtype.name) != (facts.shape, facts.dtype):
                raise _refuse(f"{name} of {self.name} is not the file written", self._file(name))
        sizes: dict[str, int] = {}
        for name, shape in expect.items():
            if name not in found:
                raise _refuse(f"{self.name} has no {name}.npy", self.directory)
            try:
                sizes = bind(shape, found[name].shape, sizes)
            except Mismatch as error:
                raise _refuse(
                    f"{name} of {self.name} has the shape {_text(found[name].shape)}, "
                    f"not {_text(shape)}: {error}",
                    self._file(name),
                ) from error

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.npy"


ELSEWHERE = ("model", "model_fingerprint", "texts", "answers_file")
"""Facts that a program tells elsewhere, or nobody else's business."""


@dataclass(frozen=True)
class Samples(Sequence[Sample]):
    """The samples of a component, in order.

    Attributes:
        path: the component's directory.
        facts: what the writer kept of all: model, model_fingerprint, image_size, ...
        items: the samples.
    """

    path: Path
    facts: dict[str, Any]
    items: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        return self.items[index]

    def options(self) -> dict[str, Any]:
        """How they were made, without what is of one computer: names of the user's files."""
        told = {name: fact for name, fact in self.facts.items() if name not in ELSEWHERE}
        return {"count": len(self), **told}

    def fingerprint(self) -> str:
        """SHA-256 in hex of all arrays (name, dtype, shape and bytes), sample by sample."""
        digest = hashlib.sha256()
        for sample in self.items:
            for name, array in sorted(sample.load().items()):
                digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
                digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def read_samples(
    directory: str | Path,
    component: str,
    *,
    model_fingerprint: str | None = None,
    expect: ExpectedShapes | None = None,
) -> Samples:
    """The samples of a component; arrays are read when a sample is loaded.

    Args:
        directory: of the calibration data, of the component's samples, or their
            ``npy_files.txt``.
        component: ``"language"`` or ``"vision"``.
        model_fingerprint: of the model the samples must have been made for.
        expect: arrays every sample must have.

    Raises:
        CalibrationError: samples are missing, malformed, or of another component, model or shape.
    """
    path = _component_directory(Path(directory), component)
    metadata = _read_metadata(path / "metadata.json")
    facts = dict(metadata.model_extra or {})
    if metadata.component != component:
        what = f"the samples are for the {metadata.component} component, not {component}"
        raise _refuse(what, path)
    if model_fingerprint not in (None, facts.get("model_fingerprint")):
        raise _refuse(f"the samples are for another model, {facts.get('model')}", path)
    if not metadata.samples:
        raise _refuse("there are no samples", path)
    samples = tuple(_sample(path, each, expect or {}) for each in metadata.samples)
    return Samples(path, facts, samples)


def _component_directory(directory: Path, component: str) -> Path:
    if directory.name == "npy_files.txt":
        directory = directory.parent
    for path in (directory / component, directory):
        if (path / "metadata.json").is_file():
            return path
    found = "has no metadata.json" if directory.is_dir() else "does not exist"
    raise _refuse(f"the directory of {component} samples {found}", directory)


def _read_metadata(path: Path) -> _Metadata:
    try:
        metadata = validate(_Metadata, parse_object(path.read_bytes(), "metadata.json", path), path)
    except (OSError, FormatError) as error:
        what = f"the samples' metadata are malformed: {getattr(error, 'what', error)}"
        raise _refuse(what, path) from error
    if metadata.version != VERSION:
        what = f"the samples are of version {metadata.version}, this vlmforge reads {VERSION}"
        raise _refuse(what, path)
    if metadata.count != len(metadata.samples):
        raise _refuse("the samples' metadata are malformed: count is not that of samples", path)
    return metadata


def _sample(path: Path, facts: _SampleFacts, expect: ExpectedShapes) -> Sample:
    names = (facts.name, *facts.arrays)
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise _refuse(f"the names {names} cannot be those of a sample and its arrays", path)
    sample = Sample(path / facts.name, tuple(facts.arrays), dict(facts.model_extra or {}))
    sample.require(facts.arrays, expect)
    return sample


def _map(path: Path) -> np.ndarray:
    """The mapped array, so that no number in the file decides how much is allocated."""
    if not path.is_file():
        raise _refuse("a file of the sample is missing", path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy names no family of errors for a malformed file.
        raise _refuse(f"the array cannot be read: {error}", path) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise _refuse("the file is not an array of numbers", path)
    return array


def _text(shape: Shape) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _refuse(what: str, where: Path) -> CalibrationError:
    return CalibrationError(what, where=where, mend=MEND)
