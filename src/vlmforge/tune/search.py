"""The search: what is widened, in the order of what it saves for what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlmforge.config import BitConfig, CompileConfig, require_supported
from vlmforge.errors import ConfigError
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.kinds import CONFIGURATION, configuration_text
from vlmforge.formats.output import require_replaceable
from vlmforge.progress import Progress
from vlmforge.stages.overrides import workspace_overrides
from vlmforge.stages.workspace import Workspace
from vlmforge.tune.candidates import Candidate, Cost, find_candidates, whole_cost
from vlmforge.tune.component import Component
from vlmforge.tune.judge import Extent, Judge, Score, Whole

SECTIONS = 5
"""Numbers of widened candidates tried at once while the smallest sufficient one is sought."""


@dataclass(frozen=True)
class Budget:
    """The most KL divergence a prediction may have, and the least top-1 agreement."""

    kl: float
    top1: float = 0.0

    def holds(self, score: Score) -> bool:
        return score.kl <= self.kl and score.top1 >= self.top1


@dataclass(frozen=True)
class Ranked:
    """A candidate with its price.

    Attributes:
        candidate: what.
        kl: divergence that it alone causes while it is not widened.
        cost: of widening it, relative to the whole model.
    """

    candidate: Candidate
    kl: float
    cost: float

    @property
    def gain(self) -> float:
        """Divergence saved for the cost."""
        return max(self.kl, 0.0) / self.cost


@dataclass(frozen=True)
class Tuning:
    """The outcome.

    Attributes:
        config: the configuration that meets the budget.
        ranked: all candidates, the best gain first; the first ``widened`` are chosen.
        widened: how many.
        narrow, chosen, wide: scores with nothing, the chosen, and everything widened.
        cost: what the chosen add, relative to the whole.
        budget: what was asked for.
        own: the exceptions of the given configuration where that meets the budget as it is; then
            they are chosen, and no others.
    """

    config: CompileConfig
    ranked: Sequence[Ranked]
    widened: int
    narrow: Score
    chosen: Score
    wide: Score
    cost: float
    budget: Budget
    own: Sequence[Ranked] | None = None

    @property
    def exceptions(self) -> Sequence[Ranked]:
        """The chosen candidates."""
        return self.ranked[: self.widened] if self.own is None else self.own


def tune(
    space: Workspace,
    config: CompileConfig,
    budget: Budget,
    extent: Extent | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Find the cheapest exceptions that keep a model within a budget.

    Every candidate alone is rounded in an otherwise float model; the divergence it causes, over
    its cost, gives the order in which candidates are widened. How many of them it takes is found
    by trial of the wholly rounded model (weights to nearest). A configuration that meets the budget
    as it is keeps its exceptions, so that tuning never makes it worse.

    Args:
        space: with captured graphs and samples.
        config: what is tuned; its own exceptions are dropped unless they meet the budget.
        budget: to keep.
        extent: how much is run.
        progress: is told of every step.

    Raises:
        ConfigError: widening everything does not suffice.
    """
    require_supported(config)
    given, config = config, _without_exceptions(config)
    components = {name: Component.load(space, name, config, progress) for name in space.captured}
    judge = Judge(
        space, components["language"], components.get("vision"), extent or Extent(), progress
    )
    ranked = rank(components, judge)
    own = _own_exceptions(space, given, components, ranked)
    score = _score(components, judge, own)
    if budget.holds(score):
        return _kept(components, judge, ranked, config, budget, own, score)
    return _search(components, judge, ranked, config, budget)


def rank(components: dict[str, Component], judge: Judge) -> list[Ranked]:
    """All candidates of the model, the best gain first."""
    candidates = [c for each in components.values() for c in find_candidates(each)]
    trials = [_alone(candidate, components) for candidate in candidates]
    scores = judge.scores(trials, "rounding parts of")
    total = _total(components, judge)
    ranked = [
        Ranked(candidate, score.kl, _scaled(candidate.cost, candidate, judge).relative(total))
        for candidate, score in zip(candidates, scores, strict=True)
    ]
    return sorted(ranked, key=lambda each: -each.gain)


def save(tuning: Tuning, path: Path) -> Path:
    """Write the configuration, without what is by default, for people to read and edit."""
    require_replaceable(path, CONFIGURATION)
    with atomic_file(path) as file:
        file.write(configuration_text(tuning.config))
    return path


def _search(
    components: dict[str, Component],
    judge: Judge,
    ranked: list[Ranked],
    config: CompileConfig,
    budget: Budget,
) -> Tuning:
    known = _try(components, judge, ranked, (0, len(ranked)))
    if not budget.holds(known[len(ranked)]):
        least = known[len(ranked)]
        raise ConfigError(
            f"the budget is out of reach: with everything widened the KL divergence is "
            f"{least.kl:.2g} and the top-1 agreement {least.top1:.2%}",
            mend="allow more with --target-kl and --target-top1, or apply transformations: "
            "SpinR1, SpinR2, UD, QK",
        )
    low, high = (0, 0) if budget.holds(known[0]) else (0, len(ranked))
    while high - low > 1:
        step = max(1, (high - low) // SECTIONS)
        counts = tuple(range(low + step, high, step))
        found = _try(components, judge, ranked, counts)
        known |= found
        enough = [count for count in counts if budget.holds(found[count])]
        high = min([*enough, high])
        low = max([low, *(count for count in counts if count < high)])
    chosen = ranked[:high]
    return Tuning(
        _configured(config, chosen), ranked, high, known[0], known[high], known[len(ranked)],
        sum(each.cost for each in chosen), budget,
    )  # fmt: skip


def _own_exceptions(
    space: Workspace,
    config: CompileConfig,
    components: dict[str, Component],
    ranked: Sequence[Ranked],
) -> list[Ranked]:
    """The candidates that a configuration itself widens, by name or by its share."""
    listed = workspace_overrides(config, space)
    wide = {n: each.widened_by(config.bit, listed[n]) for n, each in components.items()}
    weights = set(config.bit.layer_overrides.weight_8bits)
    return [
        each
        for each in ranked
        if each.candidate.name
        in (wide[each.candidate.component] if each.candidate.kind == "activation" else weights)
    ]


def _kept(
    components: dict[str, Component],
    judge: Judge,
    ranked: list[Ranked],
    config: CompileConfig,
    budget: Budget,
    own: Sequence[Ranked],
    score: Score,
) -> Tuning:
    """The outcome where the given configuration suffices: the same, exception by exception."""
    known = _try(components, judge, ranked, (0, len(ranked)))
    return Tuning(
        _configured(config, own), ranked, 0, known[0], score, known[len(ranked)],
        sum(each.cost for each in own), budget, own,
    )  # fmt: skip


def _score(components: dict[str, Component], judge: Judge, chosen: Sequence[Ranked]) -> Score:
    trial = _together([each.candidate for each in chosen], components)
    return judge.scores([trial], "rounding all of")[0]


def _try(
    components: dict[str, Component], judge: Judge, ranked: list[Ranked], counts: Sequence[int]
) -> dict[int, Score]:
    trials = [_together([r.candidate for r in ranked[:count]], components) for count in counts]
    return dict(zip(counts, judge.scores(trials, "rounding all of"), strict=True))


def _alone(candidate: Candidate, components: dict[str, Component]) -> Whole:
    trial = candidate.trial(components[candidate.component])
    if candidate.component == "vision":
        return Whole(vision=trial)
    return Whole(trial)


def _together(widened: Sequence[Candidate], components: dict[str, Component]) -> Whole:
    trials = {
        name: component.trial(
            [c.name for c in widened if c.component == name and c.kind == "activation"],
            [c.name for c in widened if c.component == name and c.kind == "weight"],
        )
        for name, component in components.items()
    }
    return Whole(trials["language"], trials.get("vision"))


def _total(components: dict[str, Component], judge: Judge) -> Cost:
    total = Cost()
    for component in components.values():
        total += _rows(whole_cost(component), component.graph.component, judge)
    return total


def _scaled(cost: Cost, candidate: Candidate, judge: Judge) -> Cost:
    return _rows(cost, candidate.component, judge)


def _rows(cost: Cost, component: str, judge: Judge) -> Cost:
    """Products of all rows of a sample; weights are read once."""
    rows = judge.rows[component]
    return replace(cost, products=cost.products * rows)


def _without_exceptions(config: CompileConfig) -> CompileConfig:
    return _configured(config, ())


def _configured(config: CompileConfig, chosen: Sequence[Ranked]) -> CompileConfig:
    """The configuration with just these exceptions."""
    listed: dict[str, list[str]] = {"activation": [], "weight": []}
    for each in chosen:
        listed[each.candidate.kind].append(each.candidate.setting)
    overrides = BitConfig.LayerOverrides(
        activation_16bits=tuple(dict.fromkeys(listed["activation"])),
        weight_8bits=tuple(dict.fromkeys(listed["weight"])),
    )
    bit: dict[str, Any] = {"layer_overrides": overrides, "activation_16_share": 0.0}
    return config.model_copy(update={"bit": config.bit.model_copy(update=bit)})
