"""The commands: what they print, and failures without a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def vlmforge(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vlmforge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture(scope="module")
def work(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage's command in turn, from images to a package."""
    root = tmp_path_factory.mktemp("work")
    data, images = root / "calibration_data", root / "images"
    calibrate = ("--images", images, "--output-dir", data, "--num-samples", 2)
    for command in (
        ("images", "--num-images", 2, "--images", "synthetic", "--output-dir", images),
        ("calibrate", "language", tiny_checkpoint, *calibrate, "--max-new-tokens", 4),
        ("calibrate", "vision", tiny_checkpoint, *calibrate),
        ("mblt", "language", tiny_checkpoint, "--calibration", data, "--work-dir", root),
        ("mblt", "vision", tiny_checkpoint, "--calibration", data, "--work-dir", root),
        ("mxq", "language", "--calibration", data, "--work-dir", root),
        ("mxq", "vision", "--calibration", data, "--work-dir", root),
        ("package", tiny_checkpoint, "--work-dir", root, "--out", root / "package"),
    ):
        done = vlmforge(*command)
        assert done.returncode == 0, done.stderr
    return root


def test_stages_run_one_by_one_and_the_package_answers(work: Path) -> None:
    image = work / "images" / "image_0000.jpg"
    done = vlmforge(
        "chat", work / "package", "--image", image, "--prompt", "Hi?", "--max-new-tokens", 3
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")


def test_one_configuration_serves_both_components(work: Path, tmp_path: Path) -> None:
    names = ["model_layers_0_mlp", "model_blocks_0_mlp_act"]
    config = {"bit": {"layerOverrides": {"activation16Bits": names}}}
    (tmp_path / "tuned.json").write_text(json.dumps(config), encoding="utf-8")
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    options = ("--calibration", copy / "calibration_data", "--config", tmp_path / "tuned.json")
    for component, name in zip(("language", "vision"), names, strict=True):
        done = vlmforge("mxq", component, "--work-dir", copy, *options)
        assert done.returncode == 0, done.stderr
        file = next((copy / "mxq").glob("*text*" if component == "language" else "*vision*"))
        nodes = json.loads(vlmforge("inspect", file, "--json").stdout)["nodes"]
        assert {n["name"]: n["dtype"] for n in nodes}[name] == "int16"


def test_diagnose_and_tune_run(work: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ("--samples", 1, "--max-new-tokens", 3, "--html", page)
    done = vlmforge("diagnose", work / "package", "--reference", tiny_checkpoint, *options)
    assert done.returncode == 0, done.stderr
    assert "Culprits" in done.stdout and "</html>" in page.read_text("utf-8")

    out = tmp_path / "tuned.json"
    done = vlmforge("tune", work, "--target-kl", 10, "--samples", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text("utf-8"))["bit"]["activation16Share"] == 0


def test_eval_compares_with_the_original(work: Path, tiny_checkpoint: Path) -> None:
    line = {"image": "images/image_0000.jpg", "question": "What?", "answer": "nothing"}
    asked = "".join(json.dumps(line | {"kind": kind}) + "\n" for kind in ("a", "b", "b"))
    (work / "questions.jsonl").write_text(asked, encoding="utf-8")
    arguments = ("--questions", work / "questions.jsonl", "--reference", tiny_checkpoint)
    command = ("eval", work / "package", *arguments, "--max-new-tokens", 3)
    facts = json.loads(vlmforge(*command, "--json").stdout)
    compared = {"n", "accuracy", "reference_accuracy", "top1_agreement", "kl"}
    assert facts["n"] == 3 and compared <= set(facts)
    assert facts["kinds"]["b"].keys() - facts["kinds"]["a"].keys() == {"kl_standard_error"}
    table = vlmforge(*command).stdout.split("By kinds")[1].split("Evaluation")[0]
    one, several = (
        [cell.strip() for cell in row.split("│")]
        for row in table.splitlines() if row.startswith(("│ a ", "│ b "))
    )  # fmt: skip
    assert len(one) == len(several) and one[-2] == "" != several[-2]


def test_bench_measures_a_package(work: Path) -> None:
    options = ("--prefill", 8, "--decode", 2, "--sessions", 2, "--threads", 1, "--rounds", 1)
    done = vlmforge("bench", work / "package", *options, "--json")
    report = json.loads(done.stdout)
    assert report["machine"]["threads"] == 1
    assert [each["tokens"] for each in report["prefill"]] == [8]
    assert report["decode_together"]["tokens"] == 4
    assert report["profile"] is None


def test_bench_refuses_lengths_that_are_none(work: Path) -> None:
    done = vlmforge("bench", work / "package", "--prefill", "8,-1")
    assert done.returncode == 2
    assert "not numbers of tokens" in done.stderr


def test_inspect_knows_every_kind_of_file(work: Path) -> None:
    for file in ("mblt/Tiny-VL_text_model.mblt", "mxq/Tiny-VL_text_model.mxq", "package"):
        facts = json.loads(vlmforge("inspect", work / file, "--json").stdout)
        assert facts["kind"] in ("mblt", "mxq", "package")
    assert "model_merger_fc2" in vlmforge("inspect", work / "package").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "nowhere", "--prompt", "Hi?"),
        ("mxq", "language", "--work-dir", "nowhere"),
        ("inspect", "README.md"),
        ("compile", "/nowhere/at/all", "--out", "nowhere"),
    ],
)
def test_failures_say_where_and_how_to_mend(arguments: tuple[str, ...]) -> None:
    done = vlmforge(*arguments)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "mend:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [("mxq", "language"), ("package", "tests/none")], ids=lambda each: each[0]
)
def test_a_directory_of_rotations_that_others_can_write_is_refused(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    team = tmp_path / "team"
    team.mkdir()
    team.chmod(0o775)
    done = vlmforge(*command, "--spin-weight-dir", team / "spinWeight")
    assert done.returncode == 2
    assert "can be written by its group" in done.stderr.replace("\n", " ")
    assert "chmod go-w" in done.stderr
    assert "Traceback" not in done.stderr
