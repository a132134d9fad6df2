"""Tuning as a step of a compilation: what was tuned before is read again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vlmforge.config import CompileConfig
from vlmforge.formats.fingerprint import fingerprint
from vlmforge.progress import Progress
from vlmforge.stages.facts import config_facts
from vlmforge.stages.plan import Plan
from vlmforge.stages.step import Step
from vlmforge.stages.version import code_facts
from vlmforge.stages.workspace import Workspace
from vlmforge.tune.search import Budget, save, tune

TUNED = "tuned.json"
"""The configuration that tuning leaves in the work directory."""


def tuned(
    space: Workspace,
    config: CompileConfig,
    budget: Budget,
    *,
    fresh: bool = False,
    announce: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> CompileConfig:
    """A configuration with the exceptions that keep a model within a budget.

    Args:
        space: with captured graphs and samples.
        config: what is tuned.
        budget: to keep.
        fresh: whether to tune again what was tuned before.
        announce: is told why it is tuned, or not.
        progress: is told of every step.

    Raises:
        ConfigError: widening everything does not suffice.
    """
    path = space.root / TUNED
    found = {part: (space.mblt(part), space.samples(part)) for part in space.captured}
    read = [str(fingerprint(each)) for pair in found.values() for each in pair]
    step = Step(
        name="tune",
        run=partial(_tune, space, config, budget, path, progress),
        makes=(path,),
        facts={"budget": str(budget), "set of graphs and samples": " ".join(read)}
        | config_facts(config)
        | code_facts("tune.search"),
    )
    Plan.of(space, announce, fresh).run([step])
    return config.model_copy(update={"bit": CompileConfig.load(path).bit})


def _tune(
    space: Workspace,
    config: CompileConfig,
    budget: Budget,
    path: Path,
    progress: Progress | None,
) -> None:
    save(tune(space, config, budget, progress=progress), path)
