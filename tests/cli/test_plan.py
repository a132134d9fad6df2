"""`vlmforge plan` says what `vlmforge compile` would do, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmforge.cli import app


def said(tmp_path: Path, model: Path, *command: str) -> str:
    text = tmp_path / "text.txt"
    text.write_text("The square is left of the circle. " * 40)
    options = ("--out", str(tmp_path / "out"), "--calibration-text", str(text))
    first, *rest = command
    result = CliRunner().invoke(app, [first, str(model), *options, *rest])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", [("plan",), ("compile", "--plan")])
def test_what_would_be_done_is_said_and_nothing_is_written(
    tiny_decoder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    document = json.loads(said(tmp_path, tiny_decoder, *command, "--json"))
    assert [(each["name"], each["due"]) for each in document["steps"]] == [
        ("check", "yes"),
        ("calibrate text", "yes"),
        ("mblt language", "yes"),
        ("mxq language", "yes"),
        ("package", "yes"),
    ]
    assert document["total"]["memory"] == max(each["memory"] for each in document["steps"])
    shown = said(tmp_path, tiny_decoder, *command)
    assert "not made yet" in shown and "5 of 5 steps are due" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_each_of_several_configurations_is_planned(tiny_decoder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text("{}")
    configs = [f"--config={tmp_path / name}.json" for name in ("a", "b")]
    document = json.loads(said(tmp_path, tiny_decoder, "plan", "--json", *configs))
    names = [each["name"] for each in document["steps"]]
    assert names[3:] == ["mxq language of a", "package of a", "mxq language of b", "package of b"]
