"""TensorFile: a safetensors file mapped into memory."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlmforge.errors import FormatError, RunError, SystemFailure
from vlmforge.formats.descriptor import open_to_read
from vlmforge.formats.document import refuse
from vlmforge.formats.dtypes import DTYPES
from vlmforge.formats.header import TensorEntry, read_header

POOLED = 1 << 20
"""Bytes of a file from which on it pays to start threads for its hashes."""


class FileState(NamedTuple):
    """What tells a file's present content from another, as far as the file system knows.

    Attributes:
        device, inode: the file.
        size: bytes.
        mtime_ns, ctime_ns: last change of the content, and of anything, nanoseconds.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @staticmethod
    def of(status: os.stat_result) -> FileState:
        """The state that a ``stat`` reports."""
        return FileState(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


@dataclass(frozen=True)
class TensorFile:
    """An open safetensors file whose header describes it exactly.

    Attributes:
        path: of the file.
        metadata: free strings of the header.
        arrays: tensor name to a read-only view of the mapped file, in file order; bfloat16
            appears as raw uint16 bits.
        entries: tensor name to dtype, shape and place.
        state: of the file when it was mapped.
        mapping: what the arrays are views of.
        descriptor: of the file, as long as this object lives.
    """

    path: Path
    metadata: dict[str, str]
    arrays: dict[str, np.ndarray]
    entries: dict[str, TensorEntry]
    state: FileState
    mapping: mmap.mmap
    descriptor: int

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.descriptor)

    @staticmethod
    def open(path: str | Path) -> TensorFile:
        """Map a file; nothing but its header is read.

        Tensors are expected to be read whole: in pages of 2 MB, where the system has them for
        files, that is faster.

        Raises:
            FormatError: the file is missing, unreadable or not a valid safetensors file.
        """
        path = Path(path)
        descriptor, mapping, state = _map(path)
        with contextlib.ExitStack() as failed:
            failed.callback(os.close, descriptor)
            file = TensorFile._of(path, descriptor, mapping, state)
            failed.pop_all()
        return file

    @staticmethod
    def _of(path: Path, descriptor: int, mapping: mmap.mmap, state: FileState) -> TensorFile:
        _advise(mapping, "MADV_HUGEPAGE")
        view = memoryview(mapping)
        header = read_header(view, path)
        arrays = {
            name: _view(view, header.data_start, name, entry, path)
            for name, entry in header.entries.items()
        }
        facts = (header.metadata, arrays, header.entries)
        return TensorFile(path, *facts, state, mapping, descriptor)

    def expect_rows(self) -> None:
        """Expect that from now on single rows are read, here and there.

        Nothing around them is then read or mapped: of a file that is not in memory yet, a row
        takes the time of a row, and resident memory counts only what is in use.
        """
        _advise(self.mapping, "MADV_NOHUGEPAGE", "MADV_RANDOM")

    def require_unchanged(self) -> None:
        """Raise :class:`RunError` if the file was written to, or cut, since it was mapped.

        Reading a mapping beyond the end of its file ends the process. A file in whose place
        another was renamed, or that was removed, is as it was for those who mapped it.
        """
        now = os.fstat(self.descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.state.size, self.state.mtime_ns):
            raise self._changed()

    def _changed(self) -> RunError:
        return RunError(
            f"{self.path.name} was changed while a program that runs had it open",
            where=self.path,
            mend="restore the file or make it again, and open it anew; to exchange a file in use, "
            "write the new one beside it and rename it (mv)",
        )

    def sha256(self) -> dict[str, str]:
        """The SHA-256 of each tensor's bytes, in hex; reads the whole file.

        Processors share the work, the largest tensors first.
        """
        if self.state.size < POOLED:
            return {name: _digest(array) for name, array in self.arrays.items()}
        names = sorted(self.arrays, key=lambda name: -self.arrays[name].nbytes)
        with ThreadPoolExecutor() as pool:
            digests = pool.map(_digest, (self.arrays[name] for name in names))
            found = dict(zip(names, digests, strict=True))
        return {name: found[name] for name in self.arrays}


def _map(path: Path) -> tuple[int, mmap.mmap, FileState]:
    try:
        descriptor = open_to_read(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        state = FileState.of(os.fstat(descriptor))
        return descriptor, mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ), state
    except ValueError as error:
        os.close(descriptor)
        raise refuse("the file is not a safetensors file: it is empty", path) from error
    except OSError as error:
        os.close(descriptor)
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> FormatError:
    what = f"the file cannot be read: {error.strerror or error}"
    return FormatError(what, where=path, mend=SystemFailure.of(error).mend or "check the path")


def _advise(mapping: mmap.mmap, *advice: str) -> None:
    """Tell the system how a mapping is read, as far as it wants to know."""
    for name in advice:
        if hasattr(mmap, name):
            with contextlib.suppress(OSError):
                mapping.madvise(getattr(mmap, name))


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
