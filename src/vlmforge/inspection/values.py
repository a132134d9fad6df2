"""Recorded values, conversations and calibration data as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmforge.errors import CalibrationError, FormatError
from vlmforge.formats.container import Container
from vlmforge.formats.document import parse_object
from vlmforge.formats.kinds import IMAGES_RECORD, SAMPLES_RECORD
from vlmforge.formats.kv import Snapshot
from vlmforge.formats.samples import Sample, read_samples


def infer_facts(path: Path) -> dict[str, Any]:
    """Facts about a ``.infer`` file: every value with its shape, dtype and range."""
    file = Container.open(path, "infer")
    values = [
        {
            "name": name,
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "least": array.min().item(),
            "largest": array.max().item(),
        }
        for name, array in file.arrays.items()
    ]
    size = sum(array.nbytes for array in file.arrays.values())
    return {"kind": "infer", **file.document, "bytes": size, "values": values}


def kv_facts(path: Path) -> dict[str, Any]:
    """Facts about a ``.kv`` file."""
    snapshot = Snapshot.load(path)
    return {
        "kind": "kv",
        "package": snapshot.package,
        "tokens": len(snapshot.token_ids),
        "image_tokens": int((snapshot.keys < 0).sum()),
        "spans": [
            dict(zip(("start", "frames", "rows", "columns"), span, strict=True))
            for span in snapshot.spans
        ],
        "bytes_a_token": int(snapshot.rows.shape[1]),
        "bytes": int(snapshot.rows.nbytes),
    }


def sample_facts(path: Path) -> dict[str, Any]:
    """Facts about the calibration samples of a component; their arrays are not read."""
    record = _record(path / SAMPLES_RECORD)
    component = record.get("component")
    samples = read_samples(path, component if isinstance(component, str) else "language")
    return {
        "kind": "samples",
        "component": component,
        "count": len(samples),
        **samples.facts,
        "samples": [_sample(each) for each in samples],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    """What was kept of a sample, without what its name says already."""
    facts = {k: v for k, v in sample.facts.items() if k not in ("index", "directory")}
    return {"name": sample.name, **facts}


def calibration_facts(path: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Facts about calibration data, component by component."""
    return {"kind": "calibration", "parts": {part: sample_facts(path / part) for part in parts}}


def image_facts(path: Path) -> dict[str, Any]:
    """Facts about a directory of calibration images."""
    record = _record(path / IMAGES_RECORD)
    images = record.pop("images", None)
    if not isinstance(images, dict):
        raise CalibrationError(
            "the record of the images names none", where=path, mend="run `vlmforge images` again"
        )
    listed = [{"name": name, "origin": origin} for name, origin in images.items()]
    return {"kind": "images", "count": len(listed), **record, "samples": listed}


def _record(path: Path) -> dict[str, Any]:
    try:
        return parse_object(path.read_bytes(), path.name, path)
    except (OSError, FormatError) as error:
        what = f"the record cannot be read: {getattr(error, 'what', error)}"
        raise CalibrationError(
            what,
            where=path,
            mend="make them again: `vlmforge calibrate COMPONENT MODEL`, or `vlmforge images`",
        ) from error
