"""Signals and pipes end a command quietly, without leaving temporaries."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import default_signals

COMMAND = (sys.executable, "-m", "vlmforge")


def drawing(folder: Path) -> subprocess.Popen[str]:
    """A command that draws scenes for a long time, and has begun."""
    drawn = ("--images", "synthetic", "--num-images", "100000")
    command = [*COMMAND, "images", *drawn, "--output-dir", str(folder / "made")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=default_signals
    )
    while process.poll() is None and not list(folder.glob("made.partial-*/new/*")):
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signals_clear_up(number: int, status: int, tmp_path: Path) -> None:
    process = drawing(tmp_path)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert list(tmp_path.iterdir()) == [] and "Traceback" not in said
    assert ("interrupted" in said) == (number == signal.SIGINT)


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    shell = f'{sys.executable} -m vlmforge --help | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_full_standard_output() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "disk is full" in done.stderr and "Traceback" not in done.stderr


def test_version_and_short_help() -> None:
    def output(*arguments: str) -> str:
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True).stdout

    assert output("--version").startswith("vlmforge ")
    assert output("-h") == output("--help")
    assert "Ask a package" in output("chat", "-h")


@pytest.mark.parametrize("arguments", [("nosuch",), ("chat",), ("bench", "x", "--rounds", "0")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and "Usage" in done.stderr


def test_an_edited_configuration_is_not_tuned_over(tmp_path: Path) -> None:
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "tuned.json").write_text('{"seed": 7}')
    out = ("--out", str(tmp_path / "out"), "--target-kl", "0.1")
    done = subprocess.run([*COMMAND, "compile", "/nowhere", *out], capture_output=True, text=True)
    assert done.returncode == 2 and "tuned.json" in done.stderr
    assert (work / "tuned.json").read_text() == '{"seed": 7}'
