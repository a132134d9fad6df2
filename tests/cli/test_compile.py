"""A compilation tells programs what it does, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlmforge.cli import app
from vlmforge.pipeline import Summary

FEW = ("--images", "synthetic", "--num-samples", "2", "--max-new-tokens", "4", "--layout", "fixed")
STAGES = [
    "check",
    "images",
    "calibrate language",
    "calibrate vision",
    "mblt language",
    "mblt vision",
    "mxq language",
    "mxq vision",
    "package",
]


def events(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """The status of a command, and the events it wrote."""
    done = CliRunner().invoke(app, ["compile", *map(str, arguments), "--json"])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_compilation_is_told_in_events(tiny_checkpoint: Path, tmp_path: Path) -> None:
    status, told = events(tiny_checkpoint, "--out", tmp_path / "out", *FEW)
    assert status == 0
    notes = [event["text"] for event in told if event["event"] == "note"]
    assert "million parameters" in notes[0]
    stages = [event for event in told if event["event"] == "stage"]
    assert [each["stage"] for each in stages if each["state"] == "begun"] == STAGES
    assert [each["stage"] for each in stages if each["state"] == "ended"] == STAGES
    assert {each["stages"] for each in stages} == {len(STAGES)}
    for each in stages:
        assert each["number"] == STAGES.index(each["stage"]) + 1
    steps = [event for event in told if event["event"] == "progress"]
    assert {each["stage"] for each in steps} >= {"calibrate language", "mxq language"}
    quantizing = next(each for each in stages if each["stage"] == "mxq language")
    assert quantizing["left_seconds"] is not None and quantizing["all_left_seconds"] is not None
    last = told[-1]
    assert last["event"] == "done" and last["summary"].keys() == Summary.__dataclass_fields__.keys()
    assert list(last["summary"]["seconds"]) == STAGES


def test_a_failure_is_the_last_event(tmp_path: Path) -> None:
    status, told = events(tmp_path / "none", "--out", tmp_path / "out", *FEW)
    (failed,) = told
    assert status == failed["status"] == 2
    assert failed["event"] == "failed" and failed["kind"] == "SourceError"
    assert str(tmp_path / "none") in f"{failed['what']} {failed['where']}"


def test_a_missing_library_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, told = events("MODEL", "--out", tmp_path / "out", *FEW)
    assert status == 2 and told[-1]["kind"] == "InstallError"
    assert "torch" in told[-1]["what"] and "vlmforge[compile]" in told[-1]["mend"]


def test_options_that_have_no_effect_are_told_of(tmp_path: Path) -> None:
    options = ("--out", tmp_path / "out", "--calibration-length", "64", *FEW)
    status, told = events("MODEL", *options)
    (failed,) = told
    assert status == failed["status"] == 2 and "--calibration-length" in failed["what"]
