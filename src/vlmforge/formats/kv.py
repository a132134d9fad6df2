"""``.kv``: the tokens a package has read, with what it cached of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.document import Document, refuse, validate

KIND = "kv"
TENSORS = {"token_ids": ("I64", 1), "keys": ("I64", 1), "rows": ("I8", 2)}
"""Name to dtype and number of dimensions."""


Pace = Annotated[float, Field(ge=0, le=1 << 16)]

SpanRecord = (
    tuple[NonNegativeInt, PositiveInt, PositiveInt, PositiveInt]
    | tuple[NonNegativeInt, PositiveInt, PositiveInt, PositiveInt, Pace]
)
"""Start in tokens; frames, rows and columns of tokens; the grid's pace, if it is not 1."""


class _KvDocument(Document):
    """The JSON document; in version 1 it had no spans."""

    package: str
    spans: list[SpanRecord] | None = None


@dataclass(frozen=True)
class Snapshot:
    """Tokens with what a package has cached of them.

    Attributes:
        package: fingerprint of the package.
        token_ids: int64 ``[n]``.
        keys: int64 ``[n]``, the token id, or a negative number made from the pixels where the
            token stands for a part of an image.
        rows: int8 ``[n, row]``: of each token the keys, then the values, of every cached
            attention in the order of the language program.
        spans: of each image and video, ascending: its first token; frames, rows and columns; and
            the positions from a slice to the next, if not 1.
    """

    package: str
    token_ids: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    spans: tuple[SpanRecord, ...] = ()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.kv`` file."""
        with ContainerWriter(os.fspath(path), KIND) as writer:
            for name in TENSORS:
                writer.add(name, getattr(self, name))
            writer.finish({"package": self.package, "spans": [list(s) for s in self.spans]})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Snapshot:
        """Read a ``.kv`` file; whether a package can continue it, the package says.

        Raises:
            FormatError: it is missing, altered or no ``.kv`` file.
        """
        file = Container.open(os.fspath(path), KIND)
        document = validate(_KvDocument, file.document, file.path)
        if {n: (each.dtype, len(each.shape)) for n, each in file.entries.items()} != TENSORS:
            raise refuse("the tensors are not those of a KV cache", file.path)
        if len({array.shape[0] for array in file.arrays.values()}) != 1:
            raise refuse("the tensors are not of the same number of tokens", file.path)
        arrays = {name: file.arrays[name].copy() for name in TENSORS}
        return Snapshot(document.package, **arrays, spans=_spans(file, document))


def _spans(file: Container, document: _KvDocument) -> tuple[SpanRecord, ...]:
    """The spans; of an old file without images there are none, whatever it says."""
    if document.spans is not None:
        return tuple(document.spans)
    if file.version > 1:
        raise refuse("the document has no spans", file.path)
    if (file.arrays["keys"] < 0).any():
        raise FormatError(
            "the conversation has images whose sizes an older vlmforge did not write down",
            where=file.path,
            mend="ask again with the same messages, and save the conversation again",
        )
    return ()
