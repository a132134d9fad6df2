"""What can be known of a compilation before its work is checked before its work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vlmforge.calibrate.given import require_given
from vlmforge.calibrate.images import require_images
from vlmforge.calibrate.text import text_windows
from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError
from vlmforge.families.family import VISION
from vlmforge.formats.kinds import FOLDER, PACKAGE
from vlmforge.formats.output import require_apart, require_replaceable
from vlmforge.images.layout import Layout
from vlmforge.original.health import require_healthy
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.agreement import require_agreement
from vlmforge.stages.calibration import Calibration, require_calibration
from vlmforge.stages.overrides import split_overrides
from vlmforge.stages.workspace import Workspace


def require_outputs(
    out: Path | str, work_dir: Path | str | None, names: Sequence[str] = ()
) -> tuple[Path, Path]:
    """A package, and a work directory outside it, can be made, and replace nothing of the user's.

    Args:
        out: the package.
        work_dir: for everything between; ``<out>.work`` by default.
        names: of several packages, which are made in ``out``.

    Returns:
        Both, absolute.

    Raises:
        VlmforgeError: as :func:`vlmforge.formats.output.require_replaceable`.
        ConfigError: a name cannot be that of a directory.
    """
    package = require_replaceable(out, FOLDER if names else PACKAGE)
    root = require_replaceable(work_dir or f"{package}.work", FOLDER)
    for name in names:
        if re.fullmatch(r"\w[\w.+-]*", name, re.ASCII) is None:
            raise ConfigError(
                f"a configuration called {name!r} cannot name a directory",
                mend="rename its file: letters, digits, `.`, `_`, `+` and `-`",
            )
        require_replaceable(package / name, PACKAGE)
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
