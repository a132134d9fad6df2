"""``.infer``: every value of a component for one sample, to compare machines with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.formats.container import Container, ContainerWriter


def write_infer(
    path: str | Path, values: Mapping[str, np.ndarray], facts: dict[str, Any] | None = None
) -> None:
    """Write values by name, with JSON-able facts about where they come from."""
    with ContainerWriter(path, "infer") as writer:
        for name, value in values.items():
            writer.add(name, value)
        writer.finish(facts or {})


def read_infer(path: str | Path, verify: bool = True) -> dict[str, np.ndarray]:
    """The values by name, read-only views of the file; raises :class:`FormatError`."""
    return Container.open(path, "infer", verify).arrays
