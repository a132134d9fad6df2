"""What every installation does: run, serve, inspect and evaluate packages, without torch.

The libraries of the extras are barred from the processes started here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import vlmforge
from tests.formats.test_mblt import graph
from vlmforge.cli import app
from vlmforge.cli.options import Compiling
from vlmforge.decode.generate import Options
from vlmforge.formats.mblt import write_mblt
from vlmforge.libraries import COMPILING, PHOTOS
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

MEND = "pip install 'vlmforge[compile]'"
BARRED = sorted({library.name for library in (*COMPILING, *PHOTOS)})
SITE = f"""
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BARRED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Barred())
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python with these arguments as a base install would."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    paths = os.pathsep.join([str(site), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}

    def start(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
        )

    done = start("-c", "import torch")
    assert done.returncode == 1 and "No module named 'torch'" in done.stderr
    return start


def output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


RUNNING = """
import sys
from vlmforge import Conversation, Engine, Options, Session

session = Session.open(sys.argv[1])
image = {"type": "image", "image": sys.argv[2]}
messages = [{"role": "user", "content": [image, {"type": "text", "text": "How many?"}]}]
options = Options(max_new_tokens=6)
print(*Conversation(session).generate(messages, options).token_ids)
with Engine(session) as engine:
    for generation in engine.map([messages, messages], options):
        print(*generation.token_ids)
"""


def test_conversations_and_the_engine_answer(
    run: Run, tiny_package: Path, session: Session, tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (60, 40), "teal").save(image)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "How many?"}]
    messages = [{"role": "user", "content": content}]
    expected = Conversation(session).generate(messages, Options(max_new_tokens=6)).token_ids
    lines = output(run("-c", RUNNING, tiny_package, image)).splitlines()
    assert lines == [" ".join(map(str, expected))] * 3


NAMES = """
import vlmforge

for name in vlmforge.__all__:
    value = getattr(vlmforge, name)
    if type(value).__name__ == "Absent":
        try:
            value("model", "out") if name.islower() else value.open("model")
        except vlmforge.VlmforgeError as error:
            print(name, error.mend, error.what.partition(" ")[0])
"""


def test_names_that_need_more_say_so_when_they_are_used(run: Run) -> None:
    told = output(run("-c", NAMES)).splitlines()
    assert told == [f"{name} {MEND} vlmforge.{name}" for name in vlmforge._COMPILING]
    assert "compile" in vlmforge._COMPILING and "Session" not in vlmforge._COMPILING


def test_the_integration_says_what_it_needs(run: Run) -> None:
    done = run("-c", "import vlmforge.integrations.transformers")
    last = done.stderr.strip().splitlines()[-2:]
    assert done.returncode == 1 and MEND in last[1]
    assert "InstallError: vlmforge.integrations.transformers needs" in last[0]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40), "teal").save(tmp_path / "image.png")
    line = {"image": "image.png", "question": "What?", "answer": "nothing"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return tmp_path / "questions.jsonl"


def test_packages_are_inspected_evaluated_and_asked(
    run: Run, tiny_package: Path, questions: Path
) -> None:
    facts = json.loads(output(run("-m", "vlmforge", "inspect", tiny_package, "--json")))
    assert facts["kind"] == "package"
    asked = ("--questions", questions, "--max-new-tokens", 3, "--json")
    assert json.loads(output(run("-m", "vlmforge", "eval", tiny_package, *asked)))["n"] == 1
    text = ("--text", questions, "--context", 16, "--json")
    assert json.loads(output(run("-m", "vlmforge", "eval", tiny_package, *text)))["perplexity"] > 1
    said = output(run("-m", "vlmforge", "chat", tiny_package, "--prompt", "Hi?"))
    assert said.endswith("\n")


def test_graphs_are_inspected(run: Run, tmp_path: Path) -> None:
    write_mblt(graph(), tmp_path / "model.mblt")
    shown = output(run("-m", "vlmforge", "inspect", tmp_path / "model.mblt", "--json"))
    assert json.loads(shown)["kind"] == "mblt"


def test_images_are_drawn(run: Run, tmp_path: Path) -> None:
    drawn = ("--images", "synthetic", "--num-images", 1, "--output-dir", tmp_path / "images")
    output(run("-m", "vlmforge", "images", *drawn))
    assert (tmp_path / "images" / "image_0000.jpg").is_file()


def test_the_doctor_names_what_compiling_needs(run: Run) -> None:
    assert f"To compile models: {MEND}" in output(run("-m", "vlmforge", "doctor"))
    report = json.loads(output(run("-m", "vlmforge", "doctor", "--json")))
    assert report["packages_run"] and not report["can_compile"]
    found = {each["name"]: each for each in report["findings"]}
    for name in ("torch", "transformers", "safetensors", "gpu"):
        assert found[name]["state"] == "note" and MEND in found[name]["mend"]


def test_packages_of_the_hub_need_its_library(run: Run, tmp_path: Path) -> None:
    done = run("-m", "vlmforge", "chat", "someone/tiny", "--prompt", "Why?", cwd=tmp_path)
    assert done.returncode == 2 and "huggingface_hub" in done.stderr
    assert "mend:  pip install 'vlmforge[hub]'" in done.stderr and "Traceback" not in done.stderr


COMMANDS = {
    "compile": ("MODEL", "--out", "out"),
    "plan": ("MODEL", "--out", "out"),
    "calibrate": ("language", "MODEL"),
    "mblt": ("language", "MODEL"),
    "mxq": ("language", "--spin-weight-dir", "spin"),
    "package": ("MODEL", "--spin-weight-dir", "spin"),
    "tune": ("MODEL", "--target-kl", "1"),
    "diagnose": ("package", "--reference", "MODEL"),
}
"""The commands that need more, each with arguments that are well-formed."""


def test_every_command_that_needs_more_is_tried_here() -> None:
    marked = {
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
        if command.cls is not None and issubclass(command.cls, Compiling)
    }
    assert marked == set(COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "eval"])
def test_such_a_command_is_refused_before_any_work(command: str, run: Run, tmp_path: Path) -> None:
    arguments = COMMANDS.get(command, ("none", "--questions", "none", "--reference", "MODEL"))
    done = run("-m", "vlmforge", command, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"vlmforge {command}" in done.stderr and "torch" in done.stderr
    assert f"mend:  {MEND}" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_its_help_is_shown(run: Run) -> None:
    assert "--target-kl" in output(run("-m", "vlmforge", "compile", "--help"))
