"""What the programs of a package say of features and positions that they take or give."""

from __future__ import annotations

from pathlib import Path

from vlmforge.dims import Dim
from vlmforge.errors import PackageError
from vlmforge.program.core import Program

MEND = "copy the package again, or compile it again"


def require_features(text: Program, vision: Program | None, directory: Path) -> None:
    """The text program takes what the vision program gives, and positions have tables.

    Raises:
        PackageError: it does not, or they are not there.
    """
    added = text.meta.get("stream_inputs", [])
    width = text.meta["hidden_size"]
    for name in added:
        if not _is_input(text, name, width):
            raise _refused(f"the text model has no input {name!r} {width} wide", directory)
    if vision is None:
        return
    further = len(vision.outputs) - 1
    if further != len(added):
        what = f"the vision transformer gives {further} further features, the text model adds"
        raise _refused(f"{what} {len(added)}", directory)
    _require_tile(vision, directory)
    tables = vision.meta.get("tables", {})
    for name in sorted({*vision.meta.get("stream_inputs", []), *tables}):
        if not _has_table(vision, name, tables.get(name)):
            raise _refused(f"the vision transformer has no table for {name!r}", directory)


def _require_tile(vision: Program, directory: Path) -> None:
    """A program for tiles reads the patches of one, all rows of its tables, and merges as many."""
    if vision.meta.get("layout") != "tiles":
        return
    height, width = vision.meta["tile"]
    side = vision.meta["patch_size"] * vision.meta["merge_size"]
    patches = height * width // vision.meta["patch_size"] ** 2
    rows = patches + bool(vision.meta.get("class_token", False))
    constants = {step.name for step in vision.instructions if step.op == "constant"}
    tables = constants & set(vision.meta.get("tables", {}).values())
    shapes = {"patches": rows, "merged": patches, **dict.fromkeys(tables, rows)}
    found = {name: vision.buffers[name].shape[:1] for name in shapes if name in vision.buffers}
    whole = height % side == width % side == 0
    if not whole or found != {name: (length,) for name, length in shapes.items()}:
        raise _refused(
            f"the vision transformer does not read tiles of {height} × {width}", directory
        )


def _is_input(program: Program, name: str, width: Dim) -> bool:
    buffer = program.buffers.get(name) if name in program.inputs else None
    return buffer is not None and buffer.dtype == "float32" and buffer.shape[-1] == width


def _has_table(program: Program, name: str, constant: str | None) -> bool:
    """Whether an input's rows can be read between those of a constant."""
    steps = {step.name: step for step in program.instructions if step.op == "constant"}
    if constant not in steps:
        return False
    rows = program.buffers[constant]
    listed = len(rows.shape) == 2 and rows.dtype == "float32"
    return listed and _is_input(program, name, rows.shape[1])


def _refused(what: str, directory: Path) -> PackageError:
    return PackageError(what, where=directory, mend=MEND)
