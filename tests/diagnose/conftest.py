"""A compiled tiny package, and copies of it with a fault planted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlmforge.formats.mxq import MxqWriter, read_mxq
from vlmforge.formats.package import PackageFiles, open_package
from vlmforge.images.layout import FIXED
from vlmforge.pipeline import compile_model
from vlmforge.program.core import Program

Plant = Callable[[Program], Program]


@pytest.fixture(scope="session")
def compiled(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, compiled; treat it as read-only."""
    out = tmp_path_factory.mktemp("diagnosed") / "package"
    asked = {"images": "synthetic", "num_samples": 16, "max_new_tokens": 12}
    compile_model(str(tiny_checkpoint), out, **asked, layout=FIXED)
    return out


@pytest.fixture
def planted(compiled: Path, tmp_path: Path) -> Callable[[str, Plant], Path]:
    """A copy of the package with one program changed, its hashes valid."""

    def plant(component: str, change: Plant) -> Path:
        copy = tmp_path / "planted"
        shutil.copytree(compiled, copy)
        files = PackageFiles.of(copy, open_package(copy).settings)
        path = files.text if component == "language" else files.vision
        assert path is not None
        program = change(read_mxq(path))
        tensors = {name: np.array(array) for name, array in program.tensors.items()}
        with MxqWriter(path) as writer:
            for name, array in tensors.items():
                writer.add(name, array)
            writer.finish(program)
        return copy

    return plant


def with_tensor(program: Program, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Program:
    """The program with one tensor changed."""
    tensors = dict(program.tensors)
    tensors[name] = change(np.array(tensors[name]))
    return replace(program, tensors=tensors)
