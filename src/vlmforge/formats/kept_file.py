"""Kept file: values that an interrupted computation goes on with, found by their digest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter

SHARE = 0.03
"""Of a computation's time, what keeping its state may take."""

RATE = 3e-9
"""Seconds that keeping a byte takes, before that is known."""


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
        with suppress(FormatError, OSError):
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
    """How far samples have come, kept as often as :data:`SHARE` of the time allows."""

    def __init__(self, file: KeptFile) -> None:
        self.file = file
        self._rate, self._since = RATE, time.monotonic()

    def keep(self, live: Sequence[Mapping[str, Tensor]], **beside: object) -> None:
        """Keep the values of every sample, and what is said beside, if it is time."""
        start, size = time.monotonic(), sum(x.nbytes for each in live for x in each.values())
        if (start - self._since) * SHARE >= size * self._rate:
            self.write(live, **beside)
            self._since = time.monotonic()
            self._rate = (self._since - start) / max(1, size)

    def write(self, live: Sequence[Mapping[str, Tensor]], **beside: object) -> None:
        """Keep them whatever the time."""
        self.file.write({"live": live, **beside})


def _packed(value: object, arrays: list[np.ndarray]) -> object:
    """What a document says of a value whose arrays stand beside it."""
    if isinstance(value, (np.ndarray, Tensor)):
        tensor = isinstance(value, Tensor)
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        arrays.append(array)
        place = {"array": len(arrays) - 1, "shape": list(array.shape)}
        return {**place, "dtype": array.dtype.str, "tensor": tensor}
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {"named": {name: _packed(each, arrays) for name, each in value.items()}}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_packed(each, arrays) for each in value]
    return value


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
