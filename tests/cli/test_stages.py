"""Options of the commands that compute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from vlmforge.calibrate.images import SYNTHETIC, collect_images
from vlmforge.cli import app
from vlmforge.formats.samples import read_samples

COMPUTING = ("compile", "tune", "calibrate", "mblt", "mxq", "package", "chat", "eval", "bench")


@pytest.mark.parametrize("command", [*COMPUTING, "diagnose"])
def test_threads_can_be_limited_wherever_is_computed(command: str) -> None:
    told = CliRunner().invoke(app, [command, "--threads", "0"], prog_name="vlmforge").output
    assert "No such option" not in told
    assert "--threads" in CliRunner().invoke(app, [command, "-h"], env={"COLUMNS": "200"}).output


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_original_answers_as_asked(tiny_checkpoint: Path, tmp_path: Path, dtype: str) -> None:
    images = collect_images(tmp_path / "images", 1, SYNTHETIC)
    options = ["--images", str(images), "--output-dir", str(tmp_path / "data"), "--dtype", dtype]
    few = ["--num-samples", "1", "--max-new-tokens", "2", "--threads", "1"]
    before, threads = dict(os.environ), torch.get_num_threads()
    try:
        command = ["calibrate", "language", str(tiny_checkpoint), *options, *few]
        result = CliRunner().invoke(app, command)
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    (sample,) = read_samples(tmp_path / "data", "language")
    embeds = torch.from_numpy(sample.load()["inputs_embeds"])
    assert torch.equal(embeds, embeds.bfloat16().float()) == (dtype == "bfloat16")


@pytest.mark.parametrize("component", ["vision", "text"])
def test_answers_are_of_language_samples_alone(component: str) -> None:
    options = (("--dtype", "float32"), ("--max-new-tokens", "3"), ("--device", "cpu"))
    for option in (*options, ("--answers", "none")):
        result = CliRunner().invoke(app, ["calibrate", component, "MODEL", *option])
        assert result.exit_code == 2
        assert f"{option[0]} has no effect" in " ".join(result.output.split())


def test_a_file_of_answers_names_its_images() -> None:
    given = ["calibrate", "vision", "MODEL", "--answers", "answers.jsonl", "--images", "photos"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert "--images has no effect beside" in " ".join(result.output.split())


def test_a_file_of_answers_is_looked_at_first(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (file := tmp_path / "answers.jsonl").write_text("{}\n")
    options = ["--answers", str(file), "--output-dir", str(tmp_path / "data")]
    for component in ("language", "vision"):
        result = CliRunner().invoke(app, ["calibrate", component, str(tiny_checkpoint), *options])
        assert result.exit_code == 2
        assert "line 1: 'image' is missing" in " ".join(result.output.split())
        assert not (tmp_path / "data").exists()
