"""The header of a safetensors file, read as if an enemy had written it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmforge.formats.document import is_printable, parse_object, refuse
from vlmforge.formats.dtypes import DTYPES

ALIGNMENT = 64
"""Bytes; the data begin at a multiple, and so does every tensor whose size is a multiple."""

MAX_HEADER = 100_000_000
"""Bytes; the safetensors library reads no larger header."""

MAX_RANK = 8


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's place in the file.

    Attributes:
        dtype: a key of :data:`vlmforge.formats.dtypes.DTYPES`.
        shape: positive sizes.
        begin, end: bytes from the start of the data.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.begin

    @property
    def expected_size(self) -> int:
        """Bytes that the dtype and shape need."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize

    def document(self) -> dict[str, Any]:
        """The entry as it stands in the header."""
        offsets = [self.begin, self.end]
        return {"dtype": self.dtype, "shape": list(self.shape), "data_offsets": offsets}


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself.

    Attributes:
        entries: tensor name to place, in file order.
        metadata: free strings.
        data_start: where the data begin, bytes from the start of the file.
    """

    entries: dict[str, TensorEntry]
    metadata: dict[str, str]
    data_start: int


def alignment(size: int) -> int:
    """The largest power of two, at most 64, that divides a tensor's size in bytes."""
    return math.gcd(size, ALIGNMENT)


def read_header(data: memoryview, path: Path) -> Header:
    """Read and check the header of a file.

    Args:
        data: the whole file's bytes, such as a memory map.
        path: named in errors.

    Raises:
        FormatError: the header does not describe exactly this file.
    """
    size = len(data)
    if size < 8:
        raise refuse("the file is not a safetensors file: it is too short", path)
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER:
        raise refuse("the file is not a safetensors file: its header is too large", path)
    if 8 + length > size:
        raise refuse("the file is truncated: it ends within its header", path)
    document = parse_object(bytes(data[8 : 8 + length]), "the header", path)
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise refuse("the header's __metadata__ is not a table of strings", path)
    entries = {name: _entry(name, value, path) for name, value in document.items()}
    placed = dict(sorted(entries.items(), key=lambda item: item[1].begin))
    _require_filled(placed, size - 8 - length, path)
    return Header(placed, metadata, 8 + length)


def _entry(name: str, value: Any, path: Path) -> TensorEntry:
    if not is_printable(name):
        raise refuse(f"the tensor name {name!r} is not printable", path)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise refuse(f"the tensor {name!r} is not described by dtype, shape, data_offsets", path)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refuse(f"the tensor {name!r} has the unknown dtype {dtype!r}", path)
    if not _are_counts(shape) or len(shape) > MAX_RANK or 0 in shape:
        raise refuse(f"the tensor {name!r} has no shape of 0 to {MAX_RANK} positive sizes", path)
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse(f"the tensor {name!r} has no valid data_offsets", path)
    entry = TensorEntry(dtype, tuple(shape), *offsets)
    if entry.size != entry.expected_size:
        raise refuse(
            f"the tensor {name!r} has {entry.size} bytes, its dtype and shape need "
            f"{entry.expected_size}",
            path,
        )
    return entry


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(each) is int and each >= 0 for each in values)


def _require_filled(entries: dict[str, TensorEntry], size: int, path: Path) -> None:
    """Tensors lie end to end, from the first byte of the data to the last."""
    end = 0
    for name, entry in entries.items():
        if entry.begin < end:
            raise refuse(f"the tensor {name!r} overlaps another", path)
        if entry.begin > end:
            raise refuse(f"there is a hole before the tensor {name!r}", path)
        end = entry.end
        if end > size:
            raise refuse(f"the file is truncated: the tensor {name!r} ends outside it", path)
    if end < size:
        raise refuse(f"the file has {size - end} bytes that belong to no tensor", path)
