"""Builds a package directory from the compiled parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vlmforge.errors import PackageError
from vlmforge.formats.atomic import atomic_directory
from vlmforge.formats.kinds import PACKAGE
from vlmforge.formats.mxq import read_mxq
from vlmforge.formats.output import require_replaceable
from vlmforge.formats.package import CONFIG_FILE, open_package, write_embeddings
from vlmforge.formats.rotation import Rotation
from vlmforge.formats.tensor_writer import COPY_CHUNK
from vlmforge.package.config import package_config, text_file, vision_file
from vlmforge.package.embeddings import rotated_rows
from vlmforge.package.settings import write_settings
from vlmforge.source.checkpoint import Checkpoint


def build_package(
    checkpoint: Checkpoint,
    text: Path,
    vision: Path | None,
    rotation: Rotation | None,
    output: Path,
    check: Callable[[Path], object] = open_package,
) -> Path:
    """Build and check a package; ``output`` is replaced only by a whole, consistent one.

    Args:
        checkpoint: the original model.
        text, vision: the compiled ``.mxq`` files; a plain decoder has no vision program.
        rotation: the language model's R1, None if it was compiled without.
        output: the directory to make.
        check: looks at the package before it takes its place, and raises what is wrong with it.

    Raises:
        PackageError: a part is missing, or the parts were not compiled for each other.
    """
    _require_files(text, vision)
    require_replaceable(output, PACKAGE)
    with atomic_directory(output, PACKAGE) as partial:
        _copy(text, partial / text_file(checkpoint.name))
        if vision is not None:
            _copy(vision, partial / vision_file(checkpoint.name))
        write_embedding(checkpoint, rotation, partial / "model.safetensors")
        meta = None if vision is None else read_mxq(vision, verify=False).meta
        write_settings(checkpoint, partial, meta)
        # Last, as it proves that the rest is a package and not still in the making.
        (partial / CONFIG_FILE).write_bytes(config_text(checkpoint, meta))
        check(partial)
    return output


def _copy(program: Path, target: Path) -> None:
    """Copy in writes so long that a system that keeps files in large pages can do so."""
    with program.open("rb") as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, COPY_CHUNK)


def config_text(checkpoint: Checkpoint, vision: Mapping[str, Any] | None = None) -> bytes:
    """The package's ``config.json``; ``vision`` is ``Program.meta`` of the vision program."""
    config = package_config(checkpoint.config, checkpoint.name, checkpoint.family, vision)
    return (json.dumps(config, indent=2) + "\n").encode()


def write_embedding(checkpoint: Checkpoint, rotation: Rotation | None, path: Path) -> None:
    """Write ``model.safetensors``: the rotated embedding, float32 ``[vocabulary, hidden]``."""
    embedding = checkpoint.embedding()
    facts = {
        "model": checkpoint.model_id,
        "model_fingerprint": checkpoint.fingerprint(),
        "rotation": rotation.fingerprint if rotation else "none",
    }
    rows, shape = rotated_rows(embedding, rotation), (embedding.shape[0], embedding.shape[1])
    write_embeddings(path, rows, shape, facts, checkpoint.family.package_embedding)


def _require_files(text: Path, vision: Path | None) -> None:
    for path, component in ((text, "language"), (vision, "vision")):
        if path is not None and not path.is_file():
            raise PackageError(
                "a compiled part is missing",
                where=path,
                mend=f"name the work directory with --work-dir, or run `vlmforge mxq {component}`",
            )
