"""Trials round what they say, and the search finds the cheapest exceptions that suffice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError, OutputError
from vlmforge.formats.mblt import read_mblt
from vlmforge.formats.mxq import read_mxq
from vlmforge.graph.core import Weight
from vlmforge.graph.evaluate import apply, evaluate
from vlmforge.pipeline import compile_model
from vlmforge.quantize.scales.grid import Grid
from vlmforge.quantize.weights.formats import WeightFormat, quantize_weight
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.lock import locked
from vlmforge.stages.overrides import split_overrides
from vlmforge.stages.workspace import Workspace
from vlmforge.tune import tables
from vlmforge.tune.component import Component
from vlmforge.tune.judge import Extent
from vlmforge.tune.search import Budget, Tuning, save, tune
from vlmforge.tune.space import opened_space
from vlmforge.tune.step import TUNED, tuned
from vlmforge.tune.trial import Trial, run_trials

FOUR_BITS = CompileConfig.parse(
    {"bit": {"transformer": {"weight": {"ffn": 4, "head": 4}, "weightGroup": 32}}}
)
EXTENT = Extent(samples=2, length=120, rows=24)


@pytest.fixture(scope="module")
def space(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Graphs and samples of the tiny checkpoint."""
    work = tmp_path_factory.mktemp("tuned") / "work"
    calibration = Calibration("synthetic", num_samples=3, max_new_tokens=8)
    with opened_space(str(tiny_checkpoint), work, calibration) as found:
        return found


@pytest.fixture(scope="module")
def language(space: Workspace) -> Component:
    return Component.load(space, "language", FOUR_BITS)


def outputs(component: Component, trials: list[Trial]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The float output and each trial's, on the first sample."""
    found: dict[int, torch.Tensor] = {}
    base: list[torch.Tensor] = []

    def measure(
        output: str, trial: int, sample: int, wanted: torch.Tensor, got: torch.Tensor
    ) -> None:
        base.append(wanted)
        found[trial] = got

    run_trials(component.graph, [component.samples[0]()], trials, measure)
    return base[0], [found[index] for index in range(len(trials))]


def rounded_by_hand(component: Component, trial: Trial) -> torch.Tensor:
    """The same, node by node."""
    graph, values = component.graph, dict(component.samples[0]())
    for name in values.keys() & trial.grids.keys():
        values[name] = trial.grids[name].round(values[name])
    for node in graph.nodes.values():
        used = graph
        if node.name in trial.formats:
            name = node.weights["weight"]
            weight = quantize_weight(graph.weights[name], trial.formats[node.name])
            used = graph.with_weights({name: Weight.of(weight.dequantized())})
        values[node.name] = apply(used, node, values)
        if node.name in trial.grids:
            values[node.name] = trial.grids[node.name].round(values[node.name])
    return values[graph.outputs[0]]


def test_trials_round_what_they_name(language: Component) -> None:
    value, product = "model_layers_1_input_layernorm", "model_layers_2_mlp_up_proj"
    grid = Grid(torch.tensor(0.05), 127)
    trials = [
        Trial(),
        Trial(grids={value: grid}),
        Trial(formats={product: WeightFormat(4, 32)}),
        language.trial((), ()),
    ]

    base, got = outputs(language, trials)

    assert torch.equal(base, evaluate(language.graph, language.samples[0]())["lm_head"])
    assert torch.equal(got[0], base)
    for trial, output in zip(trials[1:], got[1:], strict=True):
        assert torch.allclose(output, rounded_by_hand(language, trial), atol=1e-5)
        assert not torch.equal(output, base)


@pytest.mark.usefixtures("language")  # writes the rotation that vision needs
def test_overrides_name_what_a_configuration_must_list(space: Workspace) -> None:
    vision = Component.load(space, "vision", CompileConfig())

    assert "patches" in vision.widenable()
    assert vision.overrides(["patches"]) == ("model_patch_embed",)
    assert vision.codes(["patches"])["patches"] == "int16"


@pytest.mark.usefixtures("language")
@pytest.mark.parametrize("component", ["language", "vision"])
def test_overrides_are_names_of_the_captured_graph(space: Workspace, component: str) -> None:
    loaded = Component.load(space, component, CompileConfig())
    captured = read_mblt(space.mblt(component)).nodes

    for value in loaded.widenable():
        assert set(loaded.overrides([value])) <= set(captured)
        assert loaded.codes([value])[value] == "int16"


def test_the_residual_stream_needs_no_override(language: Component) -> None:
    codes = language.codes(())

    assert codes["inputs_embeds/reshape"] == "int16"
    assert "inputs_embeds" not in language.widenable()


@pytest.fixture(scope="module")
def tuning(space: Workspace) -> Tuning:
    """A budget that some, but not all, exceptions meet."""
    loose = tune(space, FOUR_BITS, Budget(1e9), EXTENT)
    middle = (loose.narrow.kl * loose.wide.kl) ** 0.5
    assert loose.widened == 0 and loose.wide.kl < middle < loose.narrow.kl
    return tune(space, FOUR_BITS, Budget(middle), EXTENT)


def test_the_budget_holds_at_less_than_the_whole_cost(tuning: Tuning) -> None:
    assert 0 < tuning.widened < len(tuning.ranked)
    assert tuning.chosen.kl <= tuning.budget.kl
    gains = [each.gain for each in tuning.ranked]
    assert gains == sorted(gains, reverse=True)
    assert tuning.cost < sum(each.cost for each in tuning.ranked)
    kinds = {each.candidate.kind for each in tuning.ranked}
    assert kinds == {"activation", "weight"}
    assert {each.candidate.component for each in tuning.ranked} == {"language", "vision"}


def test_the_result_is_a_configuration_that_compiles(
    tuning: Tuning, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    config = CompileConfig.load(save(tuning, tmp_path / "tuned.json"))
    assert config == tuning.config

    def choose(space: Workspace, given: CompileConfig) -> CompileConfig:
        assert given == FOUR_BITS
        return config

    out = tmp_path / "package"
    compile_model(
        str(tiny_checkpoint),
        out,
        images="synthetic",
        num_samples=2,
        max_new_tokens=4,
        config=FOUR_BITS,
        choose=choose,
    )

    programs = [read_mxq(path) for path in out.glob("*.mxq")]
    dtypes = {name: b.dtype for p in programs for name, b in p.buffers.items()}
    steps = {step.name: step for p in programs for step in p.instructions}
    weights = {
        n: p.tensors[s.tensors["weight"]].dtype.name
        for p in programs
        for n, s in steps.items()
        if s in p.instructions and "weight" in s.tensors
    }
    for index, each in enumerate(tuning.ranked):
        name, chosen = each.candidate.name, index < tuning.widened
        if each.candidate.kind == "weight":
            assert weights[name] == ("int8" if chosen else "uint8")
        elif name in steps:
            assert dtypes[name] == ("int16" if chosen else "int8")


def test_what_was_tuned_is_not_tuned_again(space: Workspace) -> None:
    told: list[str] = []
    budget = Budget(1e9)
    first = tuned(space, FOUR_BITS, budget, announce=told.append)
    again = tuned(space, FOUR_BITS, budget, announce=told.append)
    assert first == again == CompileConfig.load(space.root / TUNED)
    assert told == ["tune: not made yet", "tune: made already"]
    (space.root / TUNED).unlink()
    other = tuned(space, FOUR_BITS, Budget(2e9), announce=told.append)
    assert told[2:] == ["tune: another budget"] and other.equivalent_transformation == (
        FOUR_BITS.equivalent_transformation
    )


def test_tables_say_what_was_chosen_and_why(tuning: Tuning) -> None:
    rows = tables.rows(tuning)

    assert sum(row[0] == "yes" for row in rows) == tuning.widened
    assert f"{tuning.widened} of {len(tuning.ranked)} widened" in tables.facts(tuning)
    document = json.loads(json.dumps(tables.document(tuning)))
    assert sum(each["chosen"] for each in document["candidates"]) == tuning.widened


def test_a_budget_out_of_reach(space: Workspace) -> None:
    with pytest.raises(ConfigError, match="out of reach"):
        tune(space, CompileConfig(), Budget(1e-12), EXTENT)


def test_a_work_directory_is_taken_as_it_is(space: Workspace) -> None:
    with opened_space(str(space.root), None, Calibration()) as found:
        assert found == space


@pytest.mark.parametrize("captured", [True, False], ids=["work directory", "model"])
def test_nobody_tunes_where_another_process_works(
    space: Workspace, tiny_checkpoint: Path, captured: bool
) -> None:
    where = (str(space.root), None) if captured else (str(tiny_checkpoint), space.root)
    with (
        locked(space.root),
        pytest.raises(OutputError, match="works in the work directory"),
        opened_space(*where, Calibration("synthetic")),
    ):
        pass


@pytest.mark.usefixtures("language")
@pytest.mark.parametrize("config", [CompileConfig(), FOUR_BITS], ids=["default", "four bits"])
def test_a_configuration_that_suffices_is_kept(space: Workspace, config: CompileConfig) -> None:
    met = tune(space, config, Budget(1e9), EXTENT)
    assert met.own is not None and met.config.bit.activation_16_share == 0
    names = ["language", "vision"]
    graphs = [read_mblt(space.mblt(name)) for name in names]
    listed = [split_overrides(each, graphs) for each in (config, met.config)]
    for name in names:
        component = Component.load(space, name, config)
        assert component.widened_by(met.config.bit, listed[1][name]) == component.widened_by(
            config.bit, listed[0][name]
        )
    assert "as it is" in tables.facts(met)["met by"] and tables.document(met)["kept"]

    again = tune(space, met.config, Budget(met.chosen.kl), EXTENT)
    assert again.config.bit == met.config.bit


def test_a_tighter_budget_is_searched(tuning: Tuning) -> None:
    assert tuning.own is None and "met by" not in tables.facts(tuning)
