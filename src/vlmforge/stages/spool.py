"""Spool: tensors that wait on disk, as all of them at once would fill the memory."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlmforge.formats.atomic import writing
from vlmforge.formats.npy import write_npy


class Spool(MutableMapping[str, Tensor]):
    """Tensors by name, each in a file of its own, read from there when it is asked for.

    Args:
        directory: of the files, there already, and nobody else's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, Path] = {}

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        """Write a tensor; raises :class:`SystemFailure` on a full disk."""
        file = self._files.setdefault(name, self._directory / f"{len(self._files)}.npy")
        with writing(file):
            write_npy(file, tensor.numpy())

    def __getitem__(self, name: str) -> Tensor:
        """The tensor, its pages those of the file; what is written to it is forgotten."""
        return torch.from_numpy(np.load(self._files[name], mmap_mode="c", allow_pickle=False))

    def __delitem__(self, name: str) -> None:
        self._files.pop(name).unlink()

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
