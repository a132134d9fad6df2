"""SampleWriter: writes the calibration samples of a component."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vlmforge.formats.atomic import atomic_directory
from vlmforge.formats.kinds import SAMPLES, SAMPLES_FORMAT, SAMPLES_LIST, SAMPLES_RECORD
from vlmforge.formats.npy import write_npy
from vlmforge.formats.output import require_replaceable

VERSION = 1

LISTED = ("inputs_embeds", "images", "patches")
"""Arrays one of which a sample has; ``npy_files.txt`` lists its files."""


class SampleWriter:
    """Writes ``<directory>/<component>``, a context manager.

    The samples are written beside the directory and take its place at the end, so an
    interrupted writer leaves the old samples or none.

    Args:
        directory: of the calibration data.
        component: ``"language"`` or ``"vision"``.
        facts: JSON-able, kept in ``metadata.json``: model, model_fingerprint, image_size, ...
    """

    def __init__(self, directory: str | Path, component: str, facts: dict[str, Any]) -> None:
        self.path = Path(directory).absolute() / component
        self.component, self.facts = component, facts
        self._samples: list[dict[str, Any]] = []
        self._swap = ExitStack()

    def __enter__(self) -> SampleWriter:
        require_replaceable(self.path, SAMPLES)
        self._partial = self._swap.enter_context(atomic_directory(self.path, SAMPLES))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._swap.__exit__(kind, error, traceback)
            return
        with self._swap:
            self._write_metadata()

    def add(self, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
        """Write the next ``sample_NNN``, one ``.npy`` file an array.

        Args:
            arrays: name to array, such as ``inputs_embeds``.
            facts: JSON-able, kept in ``metadata.json``: prompt, image, ...
        """
        index = len(self._samples)
        name = f"sample_{index:03d}"
        folder = self._partial / name
        folder.mkdir()
        described = {}
        for key, array in arrays.items():
            write_npy(folder / f"{key}.npy", array)
            described[key] = {"shape": list(array.shape), "dtype": array.dtype.name}
        sample = {"index": index, "name": name, "directory": str(self.path / name)}
        self._samples.append({**sample, "arrays": described, **facts})

    def _write_metadata(self) -> None:
        metadata = {
            "format": SAMPLES_FORMAT,
            "version": VERSION,
            "component": self.component,
            "count": len(self._samples),
            **self.facts,
            "samples": self._samples,
        }
        text = json.dumps(metadata, indent=2, ensure_ascii=False, allow_nan=False)
        # Of a path that is no UTF-8, JSON has no spelling; here it only tells people.
        (self._partial / SAMPLES_RECORD).write_bytes(f"{text}\n".encode(errors="replace"))
        files = [
            self.path / sample["name"] / f"{name}.npy"
            for sample in self._samples
            for name in LISTED
            if name in sample["arrays"]
        ]
        lines = "".join(f"{file.as_posix()}\n" for file in files)
        (self._partial / SAMPLES_LIST).write_bytes(os.fsencode(lines))
