"""Container: the safetensors file that ``.mblt``, ``.mxq`` and others are.

The header's metadata hold the kind of the file, the version of its format, a JSON document,
the SHA-256 of every tensor, and the SHA-256 of the header itself. ``docs/formats.md`` specifies
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from vlmforge import __version__
from vlmforge.errors import FormatError
from vlmforge.formats.document import canonical_json, parse_object, refuse
from vlmforge.formats.header import TensorEntry, alignment
from vlmforge.formats.intact import first_altered
from vlmforge.formats.tensor_file import TensorFile
from vlmforge.formats.tensor_writer import TensorWriter

VERSIONS: Final[dict[str, tuple[int, ...]]] = {"kv": (1, 2)}
"""Versions of a format that are read, of which the last is written; of others there is one."""

FIRST = (1,)

METADATA_KEYS = {"format", "version", "producer", "document", "sha256", "header_sha256"}


class ContainerWriter:
    """A container in the making, a context manager; see :class:`TensorWriter`.

    Args:
        path: the file to write.
        kind: ``"mblt"``, ``"mxq"``, ``"infer"`` or ``"kv"``.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.kind = kind
        self._tensors = TensorWriter(path)

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tensors.close()

    @property
    def names(self) -> set[str]:
        """Names of the tensors added so far."""
        return set(self._tensors.entries)

    def add(self, name: str, array: np.ndarray) -> None:
        """Append a tensor."""
        self._tensors.add(name, array)

    def add_chunks(
        self, name: str, dtype: str, shape: tuple[int, ...], chunks: Iterable[np.ndarray]
    ) -> None:
        """Append a tensor given as consecutive pieces; see :meth:`TensorWriter.add_chunks`."""
        self._tensors.add_chunks(name, dtype, shape, chunks)

    def finish(self, document: dict[str, Any]) -> None:
        """Write the file with its JSON document."""
        metadata = {
            "format": self.kind,
            "version": str(VERSIONS.get(self.kind, FIRST)[-1]),
            "producer": f"vlmforge {__version__}",
            "document": canonical_json(document),
            "sha256": canonical_json(self._tensors.sha256, sort=True),
        }
        digest = header_sha256(self._tensors.entries, metadata)
        self._tensors.finish({**metadata, "header_sha256": digest})


@dataclass(frozen=True)
class Container:
    """An open container.

    Attributes:
        path: of the file.
        version: of its format.
        document: the JSON document.
        arrays: tensor name to a read-only view of the mapped file; bfloat16 as raw uint16 bits.
        entries: tensor name to dtype, shape and place.
        file: what was mapped.
    """

    path: Path
    version: int
    document: dict[str, Any]
    arrays: dict[str, np.ndarray]
    entries: dict[str, TensorEntry]
    file: TensorFile

    @staticmethod
    def open(path: str | Path, kind: str, verify: bool = True) -> Container:
        """Open a container.

        Args:
            path: the file.
            kind: what it must be: ``"mblt"``, ``"mxq"``, ``"infer"`` or ``"kv"``.
            verify: whether to compare every tensor with its hash, which reads the whole file
                unless it was found intact before.

        Raises:
            FormatError: the file is not a container of this kind and version, or was altered.
        """
        file = TensorFile.open(path)
        _require_kind(file, kind)
        _require_intact_header(file)
        digests = parse_object(file.metadata["sha256"], "the table of hashes", file.path)
        _require_hashes(file, digests)
        _require_alignment(file)
        if verify:
            _require_intact_tensors(file, digests)
        document = parse_object(file.metadata["document"], "the document", file.path)
        version = int(file.metadata["version"])
        return Container(file.path, version, document, file.arrays, file.entries, file)


def header_sha256(entries: dict[str, TensorEntry], metadata: dict[str, str]) -> str:
    """SHA-256 of all metadata but itself and of every tensor's dtype and shape, in hex."""
    tensors = {name: [entry.dtype, list(entry.shape)] for name, entry in entries.items()}
    covered = {key: value for key, value in metadata.items() if key != "header_sha256"}
    return hashlib.sha256(canonical_json([covered, tensors], sort=True).encode()).hexdigest()


def _require_kind(file: TensorFile, kind: str) -> None:
    found = file.metadata.get("format")
    if found != kind:
        what = f"the file is of the format {found!r}" if found else "the file names no format"
        raise FormatError(
            f"{what}, not {kind!r}",
            where=file.path,
            mend=f"name a .{kind} file, or make this one again",
        )
    version, read = file.metadata.get("version"), VERSIONS.get(kind, FIRST)
    if version not in [str(each) for each in read]:
        raise FormatError(
            f"the file is of version {version!r}; this vlmforge reads version {read[-1]}",
            where=file.path,
            mend="install the vlmforge that wrote the file, or compile the model again",
        )


def _require_intact_header(file: TensorFile) -> None:
    if set(file.metadata) != METADATA_KEYS:
        wrong = sorted(set(file.metadata) ^ METADATA_KEYS)
        raise refuse(f"the metadata have missing or unknown keys: {', '.join(wrong)}", file.path)
    if header_sha256(file.entries, file.metadata) != file.metadata["header_sha256"]:
        raise refuse("the header was altered: it does not match its hash", file.path)


def _require_hashes(file: TensorFile, digests: dict[str, Any]) -> None:
    for name in file.entries:
        if name not in digests:
            raise refuse(f"the tensor {name!r} has no hash", file.path)
    for name in digests:
        if name not in file.entries:
            raise refuse(f"the tensor {name!r} has a hash and is missing", file.path)


def _require_alignment(file: TensorFile) -> None:
    for name, array in file.arrays.items():
        if array.ctypes.data % alignment(array.nbytes):
            raise refuse(f"the tensor {name!r} is not aligned as its size demands", file.path)


def _require_intact_tensors(file: TensorFile, digests: dict[str, Any]) -> None:
    name = first_altered(file, digests)
    if name is not None:
        raise refuse(f"the tensor {name!r} was altered: it does not match its hash", file.path)
