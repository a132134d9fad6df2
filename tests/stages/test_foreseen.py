"""What is foreseen of a compilation: what is due, what it takes, and whether that will do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vlmforge import pipeline
from vlmforge.config import CompileConfig
from vlmforge.errors import OutputError, SystemFailure
from vlmforge.pipeline import compile_model, plan_model
from vlmforge.progress import Stage
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import foreseen as foreseen_module
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration, TextCalibration
from vlmforge.stages.costs import Cost, _held, costs
from vlmforge.stages.forecast import Forecast
from vlmforge.stages.foreseen import Foreseen
from vlmforge.stages.plan import Due
from vlmforge.stages.step import Step
from vlmforge.stages.weights import Weights
from vlmforge.stages.workspace import Workspace

FLOAT32 = Arithmetic("float32", streamed=False)
FOUND = Forecast("Tiny", 1, 3, 4.0, {"language": 8.0, "vision": 1.0}, FLOAT32)
GIGABYTE = 10**9

TABLES = 1_200_000
"""Bytes of RoPE's tables and of headers, which count in a tiny program alone."""

COSTS = {
    "images": Cost(1, GIGABYTE, 2 * GIGABYTE),
    "mxq language": Cost(60, 3 * GIGABYTE, 4 * GIGABYTE, 5 * GIGABYTE),
    "package": Cost(9, 2 * GIGABYTE, 6 * GIGABYTE),
}


def step(name: str) -> Step:
    return Step(name, lambda: None)


ALL = Foreseen("a model", [Due(step(name), ["not made yet"]) for name in COSTS], COSTS)
REST = replace(
    ALL,
    steps=[
        Due(step("images")),
        Due(step("mxq language"), ["another seed"]),
        Due(step("package"), (), ["mxq language"]),
    ],
)


@pytest.fixture(autouse=True)
def fixed_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured."""
    monkeypatch.setattr(pipeline, "forecast", lambda *_, **asked: FOUND)


def test_steps_follow_one_another_and_their_files_lie_side_by_side() -> None:
    assert ALL.total == Cost(70, 3 * GIGABYTE, 12 * GIGABYTE)
    assert REST.total == Cost(69, 3 * GIGABYTE, 10 * GIGABYTE)
    assert REST.sentence() == (
        "2 of 3 steps are due (mxq language, package): about 69 s, 3.0 GB of memory, "
        "10.0 GB of disk"
    )
    last = replace(ALL, steps=ALL.steps[:2])
    assert last.total == Cost(61, 3 * GIGABYTE, 6 * GIGABYTE, 5 * GIGABYTE)
    assert replace(ALL, steps=[Due(step("images"))]).sentence() == "all 1 steps are made already"


def test_a_progress_is_told_of_the_steps_that_run() -> None:
    assert REST.stages == [Stage("mxq language", 60), Stage("package", 9)]
    answering = {"calibrate language": Cost(4000, GIGABYTE)}
    found = Foreseen("", [Due(step("calibrate language"), ["not made yet"])], answering)
    assert found.stages == [Stage("calibrate language", 4000, at_most=True)]


def test_a_draft_takes_what_its_compilation_does(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    own, draft = (
        costs(checkpoint, Calibration(num_samples=3, answers=each), FOUND)["calibrate language"]
        for each in ("own", "draft")
    )
    assert own.beside == 0 and draft.beside > 0
    assert own.memory < draft.memory and own.seconds < draft.seconds


def test_rounding_to_nearest_holds_no_hessian() -> None:
    wide = Weights(0, 0, [(64, 8192), (4096, 64)])
    compensated, nearest = (_held(wide, 1000, 64, compensates=each) for each in (True, False))
    assert nearest + 4 * 8192**2 < compensated


def test_for_programs_it_is_a_document() -> None:
    document = json.loads(json.dumps(REST.document()))
    assert [each["due"] for each in document["steps"]] == ["no", "yes", "perhaps"]
    assert document["steps"][1]["reason"] == "another seed"
    assert document["total"]["seconds"] == 69


def test_what_is_kept_of_an_interrupted_step_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = COSTS["mxq language"].left + COSTS["mxq language"].beside
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 0, wanted - 700))
    kept = tmp_path / "kept"
    due = Due(replace(step("mxq language"), keeps=kept), ["not made yet"])
    interrupted = replace(ALL, steps=[due])
    with pytest.raises(OutputError, match="will be written"):
        interrupted.require_room(tmp_path, tmp_path)
    kept.mkdir()
    (kept / "00000.kept").write_bytes(bytes(700))
    interrupted.require_room(tmp_path, tmp_path)


class Usage(NamedTuple):
    """As ``shutil.disk_usage`` tells it."""

    total: int
    used: int
    free: int


def test_a_disk_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"bytes": 12 * GIGABYTE}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 0, free["bytes"]))
    ALL.require_room(tmp_path / "work", tmp_path / "out")
    free["bytes"] -= 1
    with pytest.raises(OutputError, match=r"12\.0 GB will be written") as caught:
        ALL.require_room(tmp_path / "work", tmp_path / "out")
    assert "--num-samples" in str(caught.value)
    REST.require_room(tmp_path / "work", tmp_path / "out")


def test_the_disk_is_the_one_a_path_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: asked.append(path) or Usage(1, 0, 99 * GIGABYTE)
    )
    (tmp_path / "large").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "large")
    REST.require_room(tmp_path / "work", tmp_path / "work" / "later" / "out")
    assert asked == [tmp_path / "large"]


def test_files_that_are_replaced_make_room_for_those_of_later_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work" / "images"
    folder.mkdir(parents=True)
    (folder / "old.png").write_bytes(bytes(1000))
    costs = {"images": Cost(1, 1, 1000), "package": Cost(1, 1, 500)}
    steps = [Step("images", lambda: None, (folder,)), step("package")]
    both = Foreseen("", [Due(each, ["another seed"]) for each in steps], costs)
    free = {"bytes": 1000}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 0, free["bytes"]))
    both.require_room(tmp_path / "work", tmp_path / "out")
    free["bytes"] -= 1
    with pytest.raises(OutputError):
        both.require_room(tmp_path / "work", tmp_path / "out")


def test_a_step_that_memory_does_not_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreseen_module, "usable_memory", lambda: 3 * GIGABYTE)
    ALL.require_memory()
    monkeypatch.setattr(foreseen_module, "usable_memory", lambda: 3 * GIGABYTE - 1)
    with pytest.raises(SystemFailure, match=r"mxq language takes about 3\.0 GB") as caught:
        ALL.require_memory()
    assert "--num-samples" in str(caught.value.mend)
    monkeypatch.setattr(foreseen_module, "usable_memory", lambda: None)
    ALL.require_memory()


@pytest.mark.parametrize("sees", [True, False])
def test_every_step_has_a_cost_and_nothing_is_written(
    tiny_checkpoint: Path, tiny_decoder: Path, tmp_path: Path, sees: bool
) -> None:
    (tmp_path / "text.txt").write_text("The square is left of the circle. " * 40)
    text = TextCalibration([tmp_path / "text.txt"], 32)
    asked: dict[str, Any] = {"images": "synthetic"} if sees else {"text": text}
    model = tiny_checkpoint if sees else tiny_decoder
    found = plan_model(model, tmp_path / "out", **asked, num_samples=3)
    names = [each.step.name for each in found.steps]
    assert sorted(names) == sorted(found.costs) and len(names) == (9 if sees else 5)
    assert found.due == list(found.steps) and found.total.seconds > 0
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_what_is_left_on_the_disk_is_about_what_was_foreseen(
    tiny_decoder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("The square is left of the circle. " * 40)
    asked: dict[str, Any] = {"text": TextCalibration([tmp_path / "text.txt"], 32), "num_samples": 3}
    told: list[str] = []
    summary = compile_model(tiny_decoder, tmp_path / "out", announce=told.append, **asked)
    assert told[1].startswith("5 of 5 steps are due (check, calibrate text")
    assert summary.foreseen.keys() == summary.seconds.keys()
    work = tmp_path / "out.work"
    for name, pattern in {
        "calibrate text": "calibration_data/**/inputs_embeds.npy",
        "mblt language": "mblt/*",
        "mxq language": "mxq/*",
        "package": "../out/*.[ms]*",
    }.items():
        left = sum(path.stat().st_size for path in work.glob(pattern))
        foreseen = summary.foreseen[name].left
        assert abs(foreseen - left) < 0.5 * max(foreseen, left) + TABLES, name
    after = plan_model(tiny_decoder, tmp_path / "out", **asked)
    assert after.due == [] and "made already" in after.sentence()


def test_less_is_due_where_a_checkpoint_is_calibrated_with_less(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    few, many = (costs(checkpoint, Calibration(num_samples=n), FOUND) for n in (10, 100))
    assert few["calibrate language"].left * 9 < many["calibrate language"].left
    assert few["mxq language"].memory < many["mxq language"].memory
    assert few["mblt language"] == many["mblt language"]


def test_what_was_tuned_is_not_said_to_be_due(tiny_decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The square is left of the circle. " * 40)
    asked: dict[str, Any] = {"text": TextCalibration([tmp_path / "text.txt"], 32), "num_samples": 3}
    where = tiny_decoder, tmp_path / "out"

    def choose(space: Workspace, config: CompileConfig) -> CompileConfig:
        return CompileConfig.parse({"hessianQuant": {"apply": False}})

    compile_model(*where, choose=choose, **asked)
    untuned, tuned = (
        {each.step.name: each.sentence for each in plan_model(*where, **asked, **how).steps}
        for how in ({}, {"choose": choose})
    )
    assert untuned["mxq language"] == "another configuration"
    assert tuned["mxq language"] == "made already, unless tune leaves other files"
    assert compile_model(*where, choose=choose, **asked).seconds == {}
