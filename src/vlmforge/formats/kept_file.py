"""Kept file: values that an interrupted computation goes on with, found by their digest."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmforge.errors import FormatError, SystemFailure
from vlmforge.formats.container import Container, ContainerWriter

logger = logging.getLogger(__name__)

SHARE = 0.03
"""Of a computation's time, what keeping its state may take."""

RATE = 3e-9
"""Seconds that keeping a byte takes, before that is known."""

LEAST = 1 << 20
"""Bytes that a smaller state counts as."""


@dataclass(frozen=True)
class KeptFile:
    """Values in a file of their own.

    Values are mappings from names, sequences, dataclasses, arrays, tensors, numbers, texts and
    None; they come back as dictionaries, lists, arrays, tensors on the CPU, and the rest as it was.

    Attributes:
        path: of the file.
        digest: of what the values follow from.
    """

    path: Path
    digest: str

    def read(self) -> Any:
        """The values; None if there are no whole ones, or ones of another digest."""
        with suppress(FormatError, OSError, KeyError, TypeError, ValueError):
            file = Container.open(self.path, "kept")
            if file.document["digest"] == self.digest:
                return _unpacked(file.document["values"], file.arrays)
        return None

    def write(self, values: object) -> None:
        """Keep values instead of those that were kept; raises :class:`SystemFailure`."""
        arrays: list[np.ndarray] = []
        document = {"digest": self.digest, "values": _packed(values, arrays)}
        with ContainerWriter(self.path, "kept") as writer:
            for index, array in enumerate(arrays):
                if array.size:
                    writer.add(str(index), array)
            writer.finish(document)


class KeptState:
    """The state of a long computation, kept as often as :data:`SHARE` of the time allows."""

    def __init__(self, file: KeptFile) -> None:
        self.file = file
        self._rate, self._since, self._failed = RATE, time.monotonic(), False

    def keep(self, state: object, *, last: bool = False) -> None:
        """Keep a state if it is time, or if it is the last one.

        Where one cannot be written, that is told, and none after it is kept: nobody needs it yet.
        """
        start, size = time.monotonic(), max(LEAST, size_of(state))
        early = (start - self._since) * SHARE < size * self._rate
        if self._failed or (early and not last):
            return
        try:
            self.file.write(state)
        except SystemFailure as error:
            self._failed = True
            logger.warning("an interruption from now on repeats more than it need: %s", error)
        self._since = time.monotonic()
        self._rate = (self._since - start) / size


def _parts(value: object) -> Mapping[str, object] | Sequence[object] | None:
    """What a value consists of; None for one that has no parts."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return value
    return value if isinstance(value, Sequence) and not isinstance(value, str) else None


def size_of(value: object) -> int:
    """Bytes of all arrays."""
    if isinstance(value, (np.ndarray, Tensor)):
        return value.nbytes
    parts = _parts(value)
    return sum(map(size_of, parts.values() if isinstance(parts, Mapping) else parts or ()))


def _packed(value: object, arrays: list[np.ndarray]) -> object:
    """What a document says of a value whose arrays stand beside it."""
    if isinstance(value, (np.ndarray, Tensor)):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        arrays.append(array)
        place = {"array": len(arrays) - 1, "shape": list(array.shape)}
        return {**place, "dtype": array.dtype.str, "tensor": isinstance(value, Tensor)}
    parts = _parts(value)
    if isinstance(parts, Mapping):
        return {"named": {name: _packed(each, arrays) for name, each in parts.items()}}
    return value if parts is None else [_packed(each, arrays) for each in parts]


def _unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if "named" in value:
        return {name: _unpacked(each, arrays) for name, each in value["named"].items()}
    stored = arrays.get(str(value["array"]))
    array = np.empty(value["shape"], value["dtype"]) if stored is None else np.array(stored)
    return torch.from_numpy(array) if value["tensor"] else array
