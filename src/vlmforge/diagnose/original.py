"""The float graphs a package was made from, captured again from the original checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig, EquivalentTransformationConfig
from vlmforge.errors import CalibrationError, PackageError, RotationError
from vlmforge.formats.package import PROCESSOR_FILE, Package
from vlmforge.formats.rotation import Rotation, r1_path
from vlmforge.formats.samples import Samples
from vlmforge.formats.settings import ProcessorSettings, read_settings
from vlmforge.graph.core import Graph
from vlmforge.images.pictures import Pictures, pictures_of
from vlmforge.program.core import Program
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.overrides import component_overrides
from vlmforge.stages.samples import component_samples
from vlmforge.stages.transformed import transform_component


@dataclass(frozen=True)
class Original:
    """A component in float.

    Attributes:
        plain: as captured.
        graph: as transformed before it was quantized; its node names are the program's.
    """

    plain: Graph
    graph: Graph


@dataclass(frozen=True)
class Originals:
    """What a package is compared with.

    Attributes:
        components: by name.
        rotation: R1 of the package, None without one.
    """

    components: dict[str, Original]
    rotation: Rotation | None


def config_of(program: Program) -> CompileConfig:
    """The configuration a program was compiled with; raises :class:`PackageError`."""
    document = program.meta.get("compile_config")
    if not isinstance(document, dict):
        raise PackageError(
            f"the {program.component} program does not say how it was compiled",
            mend="compile it again with this version: `vlmforge compile MODEL --out PACKAGE`",
        )
    return CompileConfig.parse(document).by_default()


def require_origin(package: Package, checkpoint: Checkpoint) -> None:
    """Raise :class:`PackageError` unless the package was compiled from the checkpoint."""
    if package.text.meta["model_fingerprint"] != checkpoint.fingerprint():
        raise PackageError(
            f"the package was compiled from {package.text.meta.get('model')}, not from this model",
            where=checkpoint.path,
            mend="give --reference the model that was compiled, in the same revision",
        )


def needs_samples(config: EquivalentTransformationConfig) -> bool:
    """Whether a transformation follows from calibration samples, and not from the graph alone."""
    scalings = (config.qk, config.vo, config.ud, config.norm_conv, config.qk_rotation)
    rotations = (config.spin_r1, config.spin_r2)
    return any(each.apply for each in scalings) or any(r.apply and r.learn for r in rotations)


def original_graphs(
    package: Package,
    checkpoint: Checkpoint,
    work_dir: Path | None = None,
    progress: Progress | None = None,
) -> Originals:
    """The graphs of a package's components, transformed as its programs say.

    Transformations that follow from the calibration samples are computed again from them.

    Args:
        package: the package.
        checkpoint: the model it was compiled from.
        work_dir: of its compilation, where the samples are; by default the one beside the package.
        progress: is told of every step.

    Raises:
        CalibrationError: samples are needed, and are missing or not those of the compilation.
        RotationError: R1 is not the package's, which happens where learning it again differs.
    """
    directory = work_dir or package.dir.with_name(f"{package.dir.name}.work")
    programs = [package.text] + ([package.vision] if package.vision is not None else [])
    components, rotation = {}, None
    with TemporaryDirectory() as kept:
        path = r1_path(kept, f"{checkpoint.name}_text_model")
        for program in programs:
            config = config_of(program)
            plain = capture(checkpoint, program.component, _pictures(package, program))
            samples = _samples(program, plain, config, directory)
            own = component_overrides(plain, config)
            found = transform_component(plain, samples, config, path, own, progress=progress)
            components[program.component] = Original(plain, found.graph)
            rotation = found.rotation if program is package.text else rotation
    _require_rotation(package, rotation)
    return Originals(components, rotation)


def _pictures(package: Package, program: Program) -> Pictures | None:
    if program is package.text:
        return None
    return pictures_of(program.meta, read_settings(ProcessorSettings, package.dir / PROCESSOR_FILE))


def _samples(
    program: Program, graph: Graph, config: CompileConfig, directory: Path
) -> Samples | tuple[()]:
    if not needs_samples(config.equivalent_transformation):
        return ()
    if not (directory / "calibration_data").is_dir():
        raise CalibrationError(
            "the calibration samples that the package was compiled with are not there",
            where=directory / "calibration_data",
            mend="name the work directory of its compilation with --work-dir",
        )
    samples = component_samples(graph, directory / "calibration_data")
    if samples.fingerprint() != program.meta["calibration"]:
        raise CalibrationError(
            "the calibration samples are not those the package was compiled with",
            where=samples.path,
            mend="name the work directory of its compilation with --work-dir",
        )
    return samples


def _require_rotation(package: Package, rotation: Rotation | None) -> None:
    found = rotation.fingerprint if rotation else "none"
    if found != (package.text.meta["rotation"] or "none"):
        raise RotationError(
            "the rotation R1 computed again is not the one the package was compiled with",
            where=package.dir,
            mend="diagnose on the machine, and with the version, that compiled the package",
        )
