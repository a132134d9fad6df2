"""Shards: the tensors of one or many safetensors files, read by rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from vlmforge.errors import SourceError, SystemFailure

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
AGAIN = "download the model again"

DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Supported dtypes, as safetensors and as torch call them."""


class Shards:
    """The tensors stored under a directory, by their stored names.

    Only headers are read when it is made, and only the rows asked for afterwards.

    Args:
        directory: holds ``model.safetensors`` or, where that is missing,
            ``model.safetensors.index.json`` and its shards, as transformers looks for them.

    Raises:
        SourceError: a file is missing, truncated or malformed; the message names it.
    """

    def __init__(self, directory: Path) -> None:
        index = {} if (directory / SINGLE).is_file() else _index(directory)
        self.files = _files(directory, index)
        self._tensors: dict[str, Any] = {}
        self._holders: dict[str, Path] = {}
        for path in self.files:
            slices = _slices(path)
            self._tensors.update(slices)
            self._holders.update(dict.fromkeys(slices, path))
        _require_indexed(directory / INDEX, index, self._tensors.keys())

    def names(self) -> tuple[str, ...]:
        """The stored names, sorted."""
        return tuple(sorted(self._tensors))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._tensors[name].get_shape())

    def dtype(self, name: str) -> str:
        """The dtype of a tensor: a value of :data:`DTYPES`.

        Raises:
            SourceError: it is another, such as that of weights quantized already.
        """
        stored = self._tensors[name].get_dtype()
        if stored not in DTYPES:
            raise SourceError(
                f"the weight {name} is stored as {stored}",
                where=self.holder(name),
                mend="choose the original checkpoint, in " + ", ".join(DTYPES.values()),
            )
        return DTYPES[stored]

    def holder(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self._holders[name]

    def stored(self, name: str) -> torch.Tensor:
        """A whole tensor in its own dtype, mapped from its file and read as it is used."""
        whole: torch.Tensor = self._tensors[name][:]
        return whole

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows ``[start, stop)`` of a tensor, float32."""
        rows: torch.Tensor = self._tensors[name][start:stop]
        return rows.float()


def _files(directory: Path, index: Mapping[str, str]) -> tuple[Path, ...]:
    """The weight files in order of their names."""
    if not index:
        return (directory / SINGLE,)
    shards = sorted(set(index.values()))
    for shard in shards:
        if Path(shard).name != shard or not (directory / shard).is_file():
            raise SourceError(f"the weight file {shard} is missing", where=directory, mend=AGAIN)
    return tuple(directory / shard for shard in shards)


def _index(directory: Path) -> dict[str, str]:
    """Tensor name to shard file name, as the index says."""
    path = directory / INDEX
    try:
        files = json.loads(path.read_text("utf-8"))["weight_map"]
    except FileNotFoundError as error:
        raise SourceError(
            "the model has no safetensors weights",
            where=directory,
            mend=f"convert it with save_pretrained(), which writes {SINGLE}",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            "the index of the weight files cannot be read", where=path, mend=AGAIN
        ) from error
    if not (
        isinstance(files, dict) and files and all(isinstance(file, str) for file in files.values())
    ):
        raise SourceError("the index of the weight files is malformed", where=path, mend=AGAIN)
    return files


def _slices(path: Path) -> dict[str, Any]:
    """Name to lazy slice of every tensor in a file."""
    try:
        file = safe_open(path, framework="pt")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        mend = SystemFailure.of(error).mend if isinstance(error, OSError) else AGAIN
        raise SourceError(
            f"the weight file cannot be read: {error}", where=path, mend=mend or AGAIN
        ) from error
    return slices


def _require_indexed(path: Path, index: Mapping[str, str], stored: Set[str]) -> None:
    if missing := index.keys() - stored:
        raise SourceError(
            f"{len(missing)} weights of the index are in no file, such as {min(missing)}",
            where=path,
            mend=AGAIN,
        )
