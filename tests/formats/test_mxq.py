"""``.mxq``: programs mapped from disk, and documents that are no program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vlmforge
from tests.packages import text_program
from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.mxq import MxqWriter, read_mxq
from vlmforge.program.core import Program


def write(path: Path, program: Program) -> Path:
    with MxqWriter(path) as writer:
        for name, tensor in program.tensors.items():
            writer.add(name, tensor)
        writer.finish(program)
    return path


def test_a_program_reads_back(tmp_path: Path) -> None:
    program = text_program()
    read = read_mxq(write(tmp_path / "a.mxq", program))
    assert read.component == program.component
    assert (read.inputs, read.outputs) == (program.inputs, program.outputs)
    assert read.buffers == program.buffers
    assert read.instructions == program.instructions
    assert read.meta == program.meta
    assert set(read.tensors) == set(program.tensors)
    for name, tensor in program.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)
        assert not read.tensors[name].flags.writeable


def test_packed_weights_start_at_cache_lines(tmp_path: Path) -> None:
    program = read_mxq(write(tmp_path / "a.mxq", text_program()))
    packed = [tensor for tensor in program.tensors.values() if tensor.ndim == 4]
    assert packed
    assert all(tensor.ctypes.data % 64 == 0 for tensor in packed)


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, text_program()).read_bytes() for name in "ab")
    assert first == second


def test_tensors_and_program_must_agree(tmp_path: Path) -> None:
    program = text_program()
    with MxqWriter(tmp_path / "a.mxq") as writer, pytest.raises(ValueError, match="differ in"):
        writer.finish(program)
    assert not list(tmp_path.iterdir())


Change = Callable[[dict[str, Any]], Any]

MALFORMED: dict[str, tuple[Change, str]] = {
    "component": (lambda d: d.update(component=1), "'component' is malformed"),
    "instruction": (lambda d: d["instructions"].append("exec"), r"instructions\.\d+"),
    "unknown field": (lambda d: d["instructions"][0].update(x=1), "'instructions.0.x'"),
    "scale a string": (lambda d: d["buffers"][0].update(scale="1"), "buffers.0.scale"),
    "meta a list": (lambda d: d.update(meta=[]), "'meta' is malformed"),
    "buffer twice": (lambda d: d["buffers"].append(d["buffers"][0]), "listed twice"),
    "broken rule": (lambda d: d["instructions"][0].update(op="exec"), "breaks the rule"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_program_is_refused(tmp_path: Path, case: str) -> None:
    change, message = MALFORMED[case]
    file = Container.open(write(tmp_path / "a.mxq", text_program()), "mxq")
    document = json.loads(json.dumps(file.document))
    change(document)
    with ContainerWriter(tmp_path / "b.mxq", "mxq") as writer:
        for name, tensor in file.arrays.items():
            writer.add(name, tensor)
        writer.finish(document)
    with pytest.raises(FormatError, match=message):
        read_mxq(tmp_path / "b.mxq")


def test_packages_are_read_without_torch() -> None:
    code = (
        "import sys, vlmforge.formats.package; "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(vlmforge.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
