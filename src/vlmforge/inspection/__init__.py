"""What any file or directory of this project holds, as plain values for tables and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmforge.errors import FormatError
from vlmforge.formats.kinds import IMAGES_RECORD, SAMPLES_RECORD
from vlmforge.formats.mblt import read_mblt
from vlmforge.formats.mxq import read_mxq
from vlmforge.hub.names import PackageId
from vlmforge.inspection.programs import graph_facts, package_facts, program_facts
from vlmforge.inspection.values import (
    calibration_facts,
    image_facts,
    infer_facts,
    kv_facts,
    sample_facts,
)

COMPONENTS = ("language", "vision")


def inspect(path: Path | str, verify_key: Path | str | None = None) -> dict[str, Any]:
    """Facts about a file, a package or calibration data, JSON-able.

    A package may be named as on the Hugging Face Hub, ``owner/name`` or ``owner/name@revision``.

    Args:
        path: what to look at.
        verify_key: file of the public key with which a package has to be signed.

    Raises:
        SignatureError: it is no package, or not signed with the key.
        FormatError: the path is none of these, or not intact.
        PackageError, CalibrationError: as its files say.
    """
    name, path = str(path), Path(path)
    if verify_key is not None:
        return package_facts(name, verify_key)
    if path.is_dir():
        return _directory(path)
    if path.suffix == ".mblt":
        return graph_facts(read_mblt(path))
    if path.suffix == ".mxq":
        return program_facts(read_mxq(path))
    if path.suffix == ".infer":
        return infer_facts(path)
    if path.suffix == ".kv":
        return kv_facts(path)
    if not path.exists() and PackageId.of(name) is not None:
        return package_facts(name)
    raise FormatError(
        "only .mblt, .mxq, .infer, .kv, packages and calibration data can be inspected",
        where=path,
        mend="check the path; the safetensors library opens other safetensors files",
    )


def _directory(path: Path) -> dict[str, Any]:
    if (path / SAMPLES_RECORD).is_file():
        return sample_facts(path)
    if (path / IMAGES_RECORD).is_file():
        return image_facts(path)
    parts = [name for name in COMPONENTS if (path / name / SAMPLES_RECORD).is_file()]
    if parts:
        return calibration_facts(path, parts)
    return package_facts(path)
