"""What can be known of a compilation before its work is checked before its work."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from vlmforge.calibrate.answers import DRAFT
from vlmforge.calibrate.given import require_given
from vlmforge.calibrate.images import require_images
from vlmforge.calibrate.text import text_windows
from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError, OutputError
from vlmforge.families.family import VISION
from vlmforge.formats.kinds import FOLDER, PACKAGE
from vlmforge.formats.output import existing_parent, require_apart, require_replaceable
from vlmforge.images.layout import Layout
from vlmforge.original.health import require_healthy
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.agreement import require_agreement
from vlmforge.stages.calibration import Calibration, require_calibration
from vlmforge.stages.overrides import split_overrides
from vlmforge.stages.volume import FLOAT32, Volume
from vlmforge.stages.workspace import Workspace


def require_outputs(out: Path | str, work_dir: Path | str | None) -> tuple[Path, Path]:
    """A package, and a work directory outside it, can be made, and replace nothing of the user's.

    Args:
        out: the package.
        work_dir: for everything between; ``<out>.work`` by default.

    Returns:
        Both, absolute.

    Raises:
        VlmforgeError: as :func:`vlmforge.formats.output.require_replaceable`.
    """
    package = require_replaceable(out, PACKAGE)
    root = require_replaceable(work_dir or f"{package}.work", FOLDER)
    require_apart(package, root)
    return package, root


def require_material(
    checkpoint: Checkpoint, calibration: Calibration, progress: Progress | None = None
) -> None:
    """The model and what it is calibrated with are there, whole, and mean what they seem to.

    Raises:
        CalibrationError: images, answers or texts are missing, unreadable, or for another model.
        SourceError: settings or weights are missing or sick.
    """
    require_calibration(checkpoint, calibration.text)
    text = calibration.text
    require_agreement(checkpoint, calibration.layout)
    if calibration.answers_file is not None:
        require_answers(checkpoint, calibration)
    elif text is None:
        require_images(calibration.images)
    else:
        text_windows(checkpoint, text.files, calibration.num_samples, text.length)
    require_healthy(checkpoint, progress)


def require_answers(checkpoint: Checkpoint, calibration: Calibration) -> None:
    """A file of answers, if there is one, suits the model; raises :class:`CalibrationError`."""
    if (file := calibration.answers_file) is not None:
        pictures = pictures_for(checkpoint, calibration.layout)
        require_given(checkpoint, pictures, file, calibration.max_new_tokens)


def require_consistent(
    checkpoint: Checkpoint, space: Workspace, config: CompileConfig, layout: Layout
) -> None:
    """The configuration fits the model, its parts fit each other, and images have a size.

    Raises:
        ConfigError: an override names no node, the components would be rotated differently, or
            more tokens are asked for than the decoder allows.
        SourceError: the layout leaves no size of images.
    """
    config.llm.cache_length(checkpoint.context[0])
    sees = VISION in checkpoint.components
    pictures = pictures_for(checkpoint, layout) if sees else None
    if sees:
        _require_one_rotation(config, space.rotation)
    if any(config.bit.layer_overrides.model_dump().values()):
        parts = [capture(checkpoint, part, pictures) for part in checkpoint.components]
        split_overrides(config, parts)


def _require_one_rotation(config: CompileConfig, place: Path) -> None:
    """The vision encoder's features are rotated by the R1 that this compilation writes."""
    asked = config.equivalent_transformation
    head = asked.head_out_ch_rotation
    key = "equivalentTransformation.HeadOutChRotation"
    matrix = head.matrix_path
    if asked.spin_r1.apply and not head.apply:
        raise ConfigError(
            f"equivalentTransformation.SpinR1 applies, but {key} does not",
            mend="apply both or neither: features and embeddings are rotated alike",
        )
    if matrix is not None and not asked.spin_r1.apply:
        raise ConfigError(
            f"{key}.matrixPath is given, but equivalentTransformation.SpinR1 does not apply",
            mend="leave out matrixPath, or let SpinR1 apply",
        )
    if matrix is not None and matrix.expanduser().resolve() != place.resolve():
        raise ConfigError(
            f"{key}.matrixPath names another rotation than the one this compilation writes",
            where=matrix,
            mend="leave out matrixPath; it is for `vlmforge mxq vision`",
        )


def require_room(
    checkpoint: Checkpoint, calibration: Calibration, space: Workspace, out: Path
) -> None:
    """The disks have room for what is going to be written.

    Raises:
        CalibrationError: answers are given and do not suit the model, so that it cannot be known.
        OutputError: they have none.
    """
    require_answers(checkpoint, calibration)
    stored = sum(file.stat().st_size for file in checkpoint.shards.files)
    vocabulary, hidden = checkpoint.shape(EMBEDDING)
    samples = round(calibration.num_samples * Volume.of(checkpoint, calibration).nbytes)
    programs = stored * 3 // 4
    needed: Counter[Path] = Counter()
    needed[space.root] = stored + programs + samples
    if calibration.answers == DRAFT:
        needed[space.root] += stored + 2 * programs
    needed[out] = programs + vocabulary * hidden * FLOAT32
    _require_free(needed)


def _require_free(needed: Counter[Path]) -> None:
    """Outputs on one disk share its room."""
    disks: Counter[int] = Counter()
    for path, size in needed.items():
        parent = existing_parent(path)
        disk = parent.stat().st_dev
        disks[disk] += size
        free = shutil.disk_usage(parent).free
        if free < disks[disk]:
            wanted, left = disks[disk] / 1e9, free / 1e9
            raise OutputError(
                f"about {wanted:.1f} GB will be written, and {left:.1f} GB are free",
                where=parent,
                mend="free some room, or name another disk with --out and --work-dir",
            )
