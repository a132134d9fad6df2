"""The float graph a program was made from, captured again from the original checkpoint."""

from __future__ import annotations

from pathlib import Path

from vlmforge.capture.families import capture
from vlmforge.config import CompileConfig
from vlmforge.errors import PackageError, RotationError
from vlmforge.formats.package import Package
from vlmforge.formats.rotation import Rotation, r1_path, read_rotation
from vlmforge.graph.core import Graph
from vlmforge.program.core import Program
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.order import language_passes, transform, vision_passes


def config_of(program: Program) -> CompileConfig:
    """The configuration a program was compiled with; raises :class:`PackageError`."""
    document = program.meta.get("compile_config")
    if not isinstance(document, dict):
        raise PackageError(
            f"the {program.component} program does not say how it was compiled",
            mend="compile it again with this version",
        )
    return CompileConfig.parse(document)


def require_origin(package: Package, checkpoint: Checkpoint) -> None:
    """Raise :class:`PackageError` unless the package was compiled from the checkpoint."""
    if package.text.meta["model_fingerprint"] != checkpoint.fingerprint():
        raise PackageError(
            f"the package was compiled from {package.text.meta.get('model')}, not from this model",
            where=checkpoint.path,
            mend="give --reference the model that was compiled, in the same revision",
        )


def package_rotation(
    package: Package, checkpoint: Checkpoint, spin_weight_dir: Path | None = None
) -> Rotation | None:
    """R1 of a package: drawn again from the configuration's seed, or read where it was learned.

    Args:
        package: the package.
        checkpoint: the original model.
        spin_weight_dir: directory of rotations; by default that of ``compile`` beside the package.

    Raises:
        RotationError: neither gives the rotation the package was compiled with.
    """
    wanted = package.text.meta["rotation"]
    if wanted in (None, "none"):
        return None
    drawn = Rotation.of(
        random_rotation(package.text.meta["hidden_size"], config_of(package.text).seed)
    )
    if drawn.fingerprint == wanted:
        return drawn
    directory = spin_weight_dir or package.dir.with_name(f"{package.dir.name}.work") / "spinWeight"
    path = r1_path(directory, f"{checkpoint.name}_text_model")
    rotation = read_rotation(
        path, size=drawn.size, model_fingerprint=package.text.meta["model_fingerprint"]
    )
    if rotation.fingerprint != wanted:
        raise RotationError(
            "the rotation is not the one the package was compiled with",
            where=path,
            mend="name the directory of the right one with --spin-weight-dir",
        )
    return rotation


def original_graphs(
    checkpoint: Checkpoint, program: Program, rotation: Rotation | None
) -> tuple[Graph, Graph]:
    """The graph of a program's component as captured, and as transformed before quantization."""
    config = config_of(program)
    equivalent = config.equivalent_transformation
    matrix = rotation.matrix if rotation else None
    plain = capture(checkpoint, program.component)
    if program.component == "language":
        passes = language_passes(equivalent, matrix, config.seed)
    else:
        head = matrix if equivalent.head_out_ch_rotation.apply else None
        passes = vision_passes(equivalent, head, config.seed)
    return plain, transform(plain, passes)
