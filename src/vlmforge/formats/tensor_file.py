"""TensorFile: a safetensors file mapped into memory."""

from __future__ import annotations

import hashlib
import mmap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmforge.errors import FormatError
from vlmforge.formats.document import refuse
from vlmforge.formats.dtypes import DTYPES
from vlmforge.formats.header import TensorEntry, read_header


@dataclass(frozen=True)
class TensorFile:
    """An open safetensors file whose header describes it exactly.

    Attributes:
        path: of the file.
        metadata: free strings of the header.
        arrays: tensor name to a read-only view of the mapped file, in file order; bfloat16
            appears as raw uint16 bits.
        entries: tensor name to dtype, shape and place.
    """

    path: Path
    metadata: dict[str, str]
    arrays: dict[str, np.ndarray]
    entries: dict[str, TensorEntry]

    @staticmethod
    def open(path: str | Path) -> TensorFile:
        """Map a file; nothing but its header is read.

        Raises:
            FormatError: the file is missing, unreadable or not a valid safetensors file.
        """
        path = Path(path)
        view = _map(path)
        header = read_header(view, path)
        arrays = {
            name: _view(view, header.data_start, name, entry, path)
            for name, entry in header.entries.items()
        }
        return TensorFile(path, header.metadata, arrays, header.entries)

    def sha256(self) -> dict[str, str]:
        """The SHA-256 of each tensor's bytes, in hex; reads the whole file."""
        with ThreadPoolExecutor() as pool:
            return dict(zip(self.arrays, pool.map(_digest, self.arrays.values()), strict=True))


def _map(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise refuse("the file is not a safetensors file: it is empty", path) from error
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise FormatError(what, where=path, mend="check the path") from error


def _view(
    data: memoryview, data_start: int, name: str, entry: TensorEntry, path: Path
) -> np.ndarray:
    start = data_start + entry.begin
    dtype = DTYPES[entry.dtype]
    if start % dtype.itemsize:
        raise refuse(f"the tensor {name!r} is not aligned to its elements", path)
    count = entry.size // dtype.itemsize
    return np.frombuffer(data, dtype, count, start).reshape(entry.shape)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
