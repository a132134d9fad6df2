"""The workspace tuning starts from: a given one, or one made for a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vlmforge.formats.kinds import FOLDER
from vlmforge.formats.output import require_replaceable
from vlmforge.pipeline import preparation
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.plan import Plan
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace


def find_space(
    model: str,
    work_dir: Path | None,
    calibration: Calibration,
    progress: Progress | None = None,
    *,
    announce: Callable[[str], None] | None = None,
    fresh: bool = False,
) -> Workspace:
    """The workspace of a model.

    Args:
        model: a work directory with captured graphs and samples; or a model, for which the
            stages before quantization then run.
        work_dir: where they leave their files, ``NAME.work`` by default.
        calibration: what they calibrate with.
        progress: is told of every step.
        announce: is told of each stage why it runs or is left out.
        fresh: whether to do again what was made before.
    """
    directory = Path(model)
    if (directory / "mblt").is_dir():
        graph = Workspace.find_mblt(directory, "language")
        return Workspace.of_mblt(graph, "language", directory)
    checkpoint = Checkpoint.open(model)
    root = require_replaceable(work_dir or f"{checkpoint.name}.work", FOLDER)
    space = Workspace(root, checkpoint.name)
    space.require_replaceable()
    Plan.of(space, announce, fresh).run(
        preparation(Job(checkpoint, space, progress=progress), calibration)
    )
    return space
