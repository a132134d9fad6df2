"""``.mxq``: a compiled integer program with its packed tensors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.document import Document, refuse, validate
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.verify import verify as verify_program


class _ProgramDocument(Document):
    """The JSON document: the program without its tensors."""

    component: Literal["language", "vision"]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    instructions: tuple[Instruction, ...]
    meta: dict[str, JsonValue]


class MxqWriter:
    """An ``.mxq`` file in the making, a context manager.

    Tensors are appended as they are quantized; an interrupted writer leaves the old file or none.
    """

    def __init__(self, path: str | Path) -> None:
        self._container = ContainerWriter(path, "mxq")

    def __enter__(self) -> MxqWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.__exit__(kind, error, traceback)

    def add(self, name: str, array: np.ndarray) -> None:
        """Append a tensor."""
        self._container.add(name, array)

    def finish(self, program: Program) -> None:
        """Write the file; the program's own ``tensors`` are ignored.

        Raises:
            ValueError: the program reads a tensor that was not added, or one added is not read.
        """
        read = {name for each in program.instructions for name in each.tensors.values()}
        if read != self._container.names:
            raise ValueError(f"tensors and program differ in {read ^ self._container.names}")
        self._container.finish(_document(program))


def read_mxq(path: str | Path, verify: bool = True) -> Program:
    """Map a program; its tensors are read-only views of the file.

    Args:
        path: the ``.mxq`` file.
        verify: whether to compare every tensor with its hash, which reads the whole file. The
            program itself is checked in any case.

    Raises:
        FormatError: the file is not an intact ``.mxq``, or its program breaks a rule.
    """
    file = Container.open(path, "mxq", verify)
    document = validate(_ProgramDocument, file.document, file.path)
    buffers = {buffer.name: buffer for buffer in document.buffers}
    if len(buffers) != len(document.buffers):
        raise refuse("a buffer of the program is listed twice", file.path)
    program = Program(
        document.component,
        document.inputs,
        document.outputs,
        buffers,
        document.instructions,
        file.arrays,
        dict(document.meta),
        file.file.require_unchanged,
    )
    verify_program(program)
    return program


def _document(program: Program) -> dict[str, Any]:
    return {
        "component": program.component,
        "inputs": program.inputs,
        "outputs": program.outputs,
        "buffers": [asdict(buffer) for buffer in program.buffers.values()],
        "instructions": [asdict(each) for each in program.instructions],
        "meta": program.meta,
    }
