"""The README's commands and Python, run as they stand but for the model and the amounts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.test_commands import ROOT, blocks, commands

README = ROOT / "README.md"
HUB_MODEL = "Qwen/Qwen2-VL-2B-Instruct"
INSTALLING = re.compile(r"^(make |python3 -m venv |pip install ).*\n", re.MULTILINE)
AMOUNT = re.compile(r"(--num-images|--num-samples|--max-new-tokens) \d+")


def small(text: str, model: Path) -> str:
    """The commands for a model on disk, with few samples, on the CPU, without the network."""
    local = text.replace(HUB_MODEL, str(model)).replace(" --device gpu", "")
    local = local.replace("vlmforge images", "vlmforge images --images synthetic")
    local = local.replace(f"compile {model}", f"compile {model} --images synthetic")
    return AMOUNT.sub(r"\1 3", local)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that looks like the repository to a reader of the README."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "src").symlink_to(ROOT / "src")
    Image.new("RGB", (300, 200), "teal").save(folder / "photo.jpg")
    return folder


def run(arguments: list[str], folder: Path, text: str) -> str:
    """The output of a program fed with ``text``, which has to succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        arguments,
        cwd=folder,
        input=text,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_readme_shows_runs(folder: Path, tiny_checkpoint: Path) -> None:
    shell = "".join(INSTALLING.sub("", block.text) for block in blocks(README, "sh"))
    assert "vlmforge eval" in shell
    output = run(["bash", "-euo", "pipefail"], folder, small(shell, tiny_checkpoint))
    assert re.search(r"accuracy +│ 1\.0 ", output), output
    for block in blocks(README, "python"):
        run([sys.executable, "-"], folder, block.text)


def test_the_stages_run_one_by_one(folder: Path, tiny_checkpoint: Path) -> None:
    rows = re.findall(r"^\|[^|]*\| `(vlmforge [^`]+)` \|", README.read_text("utf-8"), re.MULTILINE)
    assert len(rows) >= 8 and set(rows) <= {command.text for command in commands(README)}
    stages = small("\n".join(rows), tiny_checkpoint)
    run(["bash", "-euo", "pipefail"], folder, stages)
    assert list((folder / "package").glob("*.mxq"))
