"""The comparison of engines keeps what it measured, and compares within rounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"

ENGINES = {
    "ours": "vlmforge:package",
    "theirs": "openvino:model",
    "theirs, groups": "openvino:model,GROUP=64",
}


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SPEED))
    import compare

    return compare


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SPEED))
    import report

    return report


def call(compare: ModuleType, results: Path, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["compare.py", "peers", *(f"{name}={engine}" for name, engine in ENGINES.items())]
    words += ["--rounds", str(rounds), "--json", str(results)]
    monkeypatch.setattr("sys.argv", words)
    compare.main()


def speeds(*values: float | None) -> Any:
    """An engine that decodes so fast in each call, fails at None, and is interrupted behind."""
    following: Iterator[float | None] = iter(values)

    def engine(path: str, setup: object) -> dict[str, float]:
        try:
            value = next(following)
        except StopIteration:
            raise KeyboardInterrupt from None
        if value is None:
            raise RuntimeError("out of order")
        return {"decode": value}

    return engine


def test_ratios_are_within_rounds(report: ModuleType) -> None:
    rounds = [
        {"ours": {"decode": 20}, "theirs": {"decode": 10}, "theirs, groups": {"decode": 8}},
        {"ours": {"decode": 30}, "theirs": {"decode": 10}, "theirs, groups": {"decode": 15}},
    ]
    found = report.summary({"threads": 2, "engines": ENGINES, "rounds": rounds})["decode"]
    of = {name: found[name]["ratios"].get("ours") for name in found}
    assert of["ours"] is None
    assert of["theirs"] == {"median": 2.5, "least": 2, "most": 3, "rounds": 2}
    assert of["theirs, best settings"] == {"median": 2, "least": 2, "most": 2, "rounds": 2}


def test_less_is_better_of_times(report: ModuleType) -> None:
    rounds = [
        {"ours": {"vision": 0.25}, "theirs": {"vision": 1}, "theirs, groups": {"vision": 0.5}},
    ]
    state = {"threads": 2, "engines": ENGINES, "rounds": rounds}
    found = report.summary(state)["vision"]
    assert found["theirs"]["ratios"]["ours"]["median"] == 4
    assert found["theirs, best settings"]["ratios"]["ours"]["median"] == 2
    assert "| theirs, best settings | 500 | 500 … 500 | 2.00 (2.00 … 2.00) |" in report.report(
        state
    )


def test_shares_of_the_limits(report: ModuleType) -> None:
    ours = {"decode": 10, "of_read_bandwidth": 0.8}
    state = {"threads": 2, "engines": {"ours": "vlmforge:package"}, "rounds": [{"ours": ours}]}
    assert report.summary(state)["of_read_bandwidth"]["ours"]["median"] == 0.8


def test_a_failure_costs_its_own_round_only(
    compare: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(compare.ENGINES, "vlmforge", speeds(20, 30))
    monkeypatch.setitem(compare.ENGINES, "openvino", speeds(None, 5, 10, 5))
    call(compare, tmp_path / "speed.json", 2, monkeypatch)
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found["rounds"][0] == {
        "ours": {"decode": 20},
        "theirs": {},
        "theirs, groups": {"decode": 5},
    }
    assert found["summary"]["decode"]["theirs"]["ratios"]["ours"]["rounds"] == 1
    printed = capsys.readouterr()
    assert "theirs failed in 1 of 2 rounds." in printed.out
    assert "out of order" in printed.err


def test_every_round_begins_with_another_engine(compare: ModuleType) -> None:
    rounds = [compare.turned(["a", "b", "c"], number) for number in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_an_interrupted_run_goes_on(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "speed.json"
    monkeypatch.setitem(compare.ENGINES, "vlmforge", speeds(20, 30))
    monkeypatch.setitem(compare.ENGINES, "openvino", speeds(10, 5, 10))
    with pytest.raises(KeyboardInterrupt):
        call(compare, results, 3, monkeypatch)
    assert [len(each) for each in json.loads(results.read_text())["rounds"]] == [3, 1]
    monkeypatch.setitem(compare.ENGINES, "vlmforge", speeds(40, 50))
    monkeypatch.setitem(compare.ENGINES, "openvino", speeds(10, 5, 10, 5))
    call(compare, results, 3, monkeypatch)
    rounds = json.loads(results.read_text())["rounds"]
    assert [each["ours"]["decode"] for each in rounds] == [20, 40, 50]
    call(compare, results, 3, monkeypatch)
    assert json.loads(results.read_text())["rounds"] == rounds


def test_results_of_another_comparison_stay(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "speed.json"
    results.write_text(json.dumps({"threads": 1, "engines": ENGINES, "rounds": []}))
    with pytest.raises(SystemExit, match="another comparison"):
        call(compare, results, 1, monkeypatch)


def test_runs_are_merged(report: ModuleType) -> None:
    runs = [
        {"threads": 2, "engines": ENGINES, "rounds": [{"ours": {"decode": speed}}]}
        for speed in (10, 20)
    ]
    assert report.summary(report.merged(runs))["decode"]["ours"]["rounds"] == 2
    with pytest.raises(SystemExit):
        report.merged([runs[0], {**runs[1], "threads": 1}])
