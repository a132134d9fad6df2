"""The workspace tuning starts from: a given one, or one made for a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmforge.formats.kinds import FOLDER
from vlmforge.formats.output import require_replaceable
from vlmforge.pipeline import preparation
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.lock import locked
from vlmforge.stages.plan import Plan
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace


@contextmanager
def opened_space(
    model: str,
    work_dir: Path | None,
    calibration: Calibration,
    progress: Progress | None = None,
    *,
    announce: Callable[[str], None] | None = None,
    fresh: bool = False,
) -> Iterator[Workspace]:
    """The workspace of a model, for this process alone.

    Args:
        model: a work directory with captured graphs and samples; or a model, for which the
            stages before quantization then run.
        work_dir: where they leave their files, ``NAME.work`` by default.
        calibration: what they calibrate with.
        progress: is told of every step.
        announce: is told of each stage why it runs or is left out.
        fresh: whether to do again what was made before.

    Raises:
        OutputError: another process works there.
    """
    directory = Path(model)
    if (directory / "mblt").is_dir():
        graph = Workspace.find_mblt(directory, "language")
        with locked(directory):
            yield Workspace.of_mblt(graph, "language", directory)
        return
    checkpoint = Checkpoint.open(model)
    root = require_replaceable(work_dir or f"{checkpoint.name}.work", FOLDER)
    space = Workspace(root, checkpoint.name)
    space.require_replaceable()
    with locked(root):
        Plan.of(space, announce, fresh).run(
            preparation(Job(checkpoint, space, progress=progress), calibration)
        )
        yield space
