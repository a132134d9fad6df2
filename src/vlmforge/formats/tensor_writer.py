"""TensorWriter: writes a safetensors file tensor by tensor, in constant memory."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from vlmforge.errors import SystemFailure
from vlmforge.formats.atomic import atomic_file, writing
from vlmforge.formats.dtypes import DTYPES, dtype_name
from vlmforge.formats.header import ALIGNMENT, TensorEntry, alignment

COPY_CHUNK = 1 << 24


class TensorWriter:
    """A safetensors file in the making.

    Tensors are appended to a nameless temporary file and hashed on the way. Only
    :meth:`finish` gives the target its name, so an interrupted writer leaves the old file or
    none. The same tensors and metadata give the same bytes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.sha256: dict[str, str] = {}
        """Tensor name to the SHA-256 of its bytes, in hex."""
        self.entries: dict[str, TensorEntry] = {}
        """Tensor name to dtype, shape and place in the temporary file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._data: BinaryIO = tempfile.TemporaryFile(  # noqa: SIM115
                dir=self.path.parent
            )
        except OSError as error:
            raise SystemFailure.of(error) from error

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up what was not finished, and what a full disk kept from being written."""
        with suppress(OSError):
            self._data.close()

    def add(self, name: str, array: np.ndarray) -> None:
        """Append a tensor."""
        self.add_chunks(name, dtype_name(array.dtype), array.shape, [array])

    def add_chunks(
        self, name: str, dtype: str, shape: tuple[int, ...], chunks: Iterable[np.ndarray]
    ) -> None:
        """Append a tensor given as consecutive pieces, such as groups of rows.

        Args:
            name: of the tensor; printable and new.
            dtype: safetensors name; pieces of ``"BF16"`` are the raw uint16 bits.
            shape: of the whole tensor, without zeros.
            chunks: pieces which together hold the elements in row-major order.
        """
        if name in self.entries or not name.isprintable() or name in ("", "__metadata__"):
            raise ValueError(f"{name!r} cannot name another tensor")
        begin, digest = self._data.tell(), hashlib.sha256()
        for chunk in chunks:
            if chunk.dtype.newbyteorder("<") != DTYPES[dtype]:
                raise TypeError(f"a piece of {name!r} is {chunk.dtype}, not {dtype}")
            data = np.ascontiguousarray(chunk, DTYPES[dtype]).reshape(-1).view(np.uint8).data
            digest.update(data)
            with writing(self.path):
                self._data.write(data)
        entry = TensorEntry(dtype, tuple(map(int, shape)), begin, self._data.tell())
        if entry.size == 0 or entry.size != entry.expected_size:
            raise ValueError(f"{entry.size} bytes do not fill the tensor {name!r} {shape}")
        self.entries[name] = entry
        self.sha256[name] = digest.hexdigest()

    def finish(self, metadata: dict[str, str]) -> None:
        """Write the file: header, then the tensors, those of coarser alignment first.

        Every write but the last ends at a multiple of ``COPY_CHUNK``: a system that keeps files in
        large pages can do so only where a write fills one.
        """
        by_alignment = sorted(self.entries, key=lambda name: -alignment(self.entries[name].size))
        header = encode_header(place(self.entries, by_alignment), metadata)
        with atomic_file(self.path) as file:
            pending = bytearray(header)
            for name in by_alignment:
                for piece in self._pieces(self.entries[name]):
                    pending += piece
                    if len(pending) >= COPY_CHUNK:
                        file.write(pending[:COPY_CHUNK])
                        del pending[:COPY_CHUNK]
            file.write(pending)

    def _pieces(self, entry: TensorEntry) -> Iterator[bytes]:
        self._data.seek(entry.begin)
        for begin in range(0, entry.size, COPY_CHUNK):
            yield self._data.read(min(COPY_CHUNK, entry.size - begin))


def place(entries: dict[str, TensorEntry], order: Iterable[str]) -> dict[str, TensorEntry]:
    """The entries laid end to end in the given order."""
    placed, end = {}, 0
    for name in order:
        entry = entries[name]
        placed[name] = TensorEntry(entry.dtype, entry.shape, end, end + entry.size)
        end += entry.size
    return placed


def encode_header(entries: dict[str, TensorEntry], metadata: dict[str, str]) -> bytes:
    """The safetensors header, padded with spaces so that the data after it are aligned."""
    document: dict[str, Any] = {"__metadata__": metadata}
    for name, entry in entries.items():
        document[name] = entry.document()
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
