"""Whatever of a plan's steps was made before, is stale or damaged, the result is the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmforge.formats import fingerprint, intact
from vlmforge.stages.plan import FRESH, MADE, MISSING, Plan
from vlmforge.stages.records import Records
from vlmforge.stages.step import Step

NAMES = ("images", "samples", "graph", "program", "package")


def steps(root: Path, ran: list[str], seed: str = "0") -> list[Step]:
    """Steps each of which writes what it reads, its name, and one of them a seed."""

    def made(name: str) -> Path:
        return root / name

    def step(name: str, *reads: str, **facts: str) -> Step:
        def run() -> None:
            ran.append(name)
            text = name + "".join(made(each).joinpath("file").read_text() for each in reads)
            shutil.rmtree(made(name), ignore_errors=True)
            made(name).mkdir()
            made(name).joinpath("file").write_text(text + "".join(facts.values()))

        return Step(name, run, (made(name),), tuple(made(each) for each in reads), facts)

    return [
        step("images", seed=seed),
        step("samples", "images"),
        step("graph", "samples"),
        step("program", "graph", "samples"),
        step("package", "program"),
    ]


def plan_of(root: Path, told: list[str] | None = None, fresh: bool = False) -> Plan:
    return Plan(Records(root, root / "steps"), None if told is None else told.append, fresh)


def contents(root: Path) -> dict[str, str]:
    return {name: (root / name / "file").read_text() for name in NAMES}


def remove(root: Path, name: str) -> None:
    shutil.rmtree(root / name)


def alter(root: Path, name: str) -> None:
    (root / name / "file").write_text("altered")


def add(root: Path, name: str) -> None:
    (root / name / "another").write_text("")


def forget(root: Path, name: str) -> None:
    (root / "steps" / f"{name}.json").unlink()


def garble(root: Path, name: str) -> None:
    (root / "steps" / f"{name}.json").write_text('{"format": "vlmforge.step", "facts"')


DAMAGES = (remove, alter, forget, garble)
Damage = Callable[[Path, str], None]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(DAMAGES)), st.sampled_from("01"))
def test_any_subset_of_steps_leads_to_the_same_bytes(damage: dict[str, Damage], seed: str) -> None:
    with TemporaryDirectory() as name:
        root, wanted = Path(name) / "work", Path(name) / "whole"
        for place in (root, wanted):
            place.mkdir()
        plan_of(wanted).run(steps(wanted, [], seed))
        plan_of(root).run(steps(root, []))
        for broken, harm in damage.items():
            harm(root, broken)
        plan_of(root).run(steps(root, [], seed))
        assert contents(root) == contents(wanted)
        ran: list[str] = []
        plan_of(root).run(steps(root, ran, seed))
        assert not ran


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (remove, "graph is missing"),
        (alter, "graph was altered"),
        (add, "graph was altered"),
        (forget, MISSING),
        (garble, MISSING),
    ],
)
def test_what_was_made_is_left_out_and_what_was_not_says_why(
    tmp_path: Path, harm: Damage, reason: str
) -> None:
    plan_of(tmp_path).run(steps(tmp_path, []))
    harm(tmp_path, "graph")
    ran: list[str] = []
    told: list[str] = []
    plan_of(tmp_path, told).run(steps(tmp_path, ran))
    assert ran == ["graph"], "its bytes are the same, so nothing after it is due"
    assert f"graph: {reason}" in told and f"program: {MADE}" in told


def test_another_fact_makes_all_due_that_changes_by_it(tmp_path: Path) -> None:
    plan_of(tmp_path).run(steps(tmp_path, []))
    ran: list[str] = []
    told: list[str] = []
    plan_of(tmp_path, told).run(steps(tmp_path, ran, "1"))
    assert ran == list(NAMES)
    assert told[:2] == ["images: another seed", "samples: images changed"]
    assert "program: graph changed, samples changed" in told


def test_afresh_everything_runs(tmp_path: Path) -> None:
    plan_of(tmp_path).run(steps(tmp_path, []))
    ran: list[str] = []
    told: list[str] = []
    plan_of(tmp_path, told, fresh=True).run(steps(tmp_path, ran))
    assert ran == list(NAMES) and told[0] == f"images: {FRESH}"


def test_what_is_foreseen_is_what_runs(tmp_path: Path) -> None:
    plan_of(tmp_path).run(steps(tmp_path, []))
    remove(tmp_path, "samples")
    before = sorted(tmp_path.rglob("*"))
    found = {due.step.name: due for due in plan_of(tmp_path).foresee(steps(tmp_path, []))}
    assert sorted(tmp_path.rglob("*")) == before
    assert found["images"].sentence == MADE
    assert found["samples"].reasons == ["samples is missing"]
    assert found["graph"].sentence == f"{MADE}, unless samples leaves other files"
    assert found["package"].after == ["program"]


def test_a_work_directory_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    plan_of(tmp_path / "here").run(steps(tmp_path / "here", []))
    (tmp_path / "here").rename(tmp_path / "there")
    ran: list[str] = []
    plan_of(tmp_path / "there").run(steps(tmp_path / "there", ran))
    assert not ran


def test_a_step_that_was_not_done_as_asked_is_due_again(tmp_path: Path) -> None:
    asked = Step("learn", lambda: None, short=lambda: {"end of learning": "stopped"})
    for _ in range(2):
        told: list[str] = []
        plan_of(tmp_path, told).run([asked])
    assert told == ["learn: another end of learning"]


def test_what_is_added_later_leaves_a_step_as_made(tmp_path: Path) -> None:
    *first, package = steps(tmp_path, [])
    course = [*first, replace(package, added=("model.sig",))]
    plan_of(tmp_path).run(course)
    (tmp_path / "package" / "model.sig").write_text("whose it is")
    told: list[str] = []
    plan_of(tmp_path, told).run(course)
    assert told[-1] == f"package: {MADE}"
    alter(tmp_path, "package")
    plan_of(tmp_path, told).run(course)
    assert told[-1] == "package: package was altered"
    add(tmp_path, "package")
    plan_of(tmp_path, told).run(course)
    assert told[-1] == "package: package was altered"


def test_what_was_foreseen_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    of_file = fingerprint._of_file
    monkeypatch.setattr(fingerprint, "_of_file", lambda path: hashed.append(path) or of_file(path))
    monkeypatch.setattr(intact, "SETTLED", -1)
    plan_of(tmp_path).run(steps(tmp_path, []))
    hashed.clear()
    plan, course = plan_of(tmp_path), steps(tmp_path, [])
    assert not any(due.reasons for due in plan.foresee(course))
    alter(tmp_path, "program")
    ran: list[str] = []
    plan.run(steps(tmp_path, ran))
    assert ran == ["program"]
    assert len(hashed) == len(NAMES) + 2, "and what was altered, and made again, since"


def test_what_has_just_changed_is_hashed_each_time(tmp_path: Path) -> None:
    path, found = tmp_path / "file", fingerprint.Fingerprints()
    path.write_text("one")
    state = path.stat()
    first = found.of(path)
    path.write_text("two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert found.of(path) == fingerprint.fingerprint(path) != first
