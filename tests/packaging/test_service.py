"""packaging/vlmforge.service: systemd takes it, it shuts much away, and the server bears that."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.docs.test_commands import app, complaint
from tests.serve.openai.conftest import client_of, picture, url_of
from tests.serve.openai.test_media import data, film

__all__ = ["app"]

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "packaging" / "vlmforge.service"
EXPOSED = 2.0
"""Most of what systemd-analyze finds, of 10: below 2 it says "OK"."""

REFUSE_EXECUTABLE = """
import ctypes, os, sys
failed = ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0)
assert not failed, os.strerror(ctypes.get_errno())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Run Python where no memory may become executable, as MemoryDenyWriteExecute= does."""


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, "utf-8")
    return parser["Service"]


def analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is of Debian's package systemd")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as on a computer where its program is."""
    unit = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace("/opt/vlmforge/bin/vlmforge", sys.executable)
    unit.write_text(text)
    return unit


def test_systemd_takes_the_unit(installed: Path) -> None:
    assert UNIT.name not in analyze("verify", "--man=no", str(installed))


def test_systemd_finds_little_exposed(installed: Path) -> None:
    told = analyze("security", "--offline=true", "--no-pager", str(installed))
    level = re.search(r"exposure level for .*?: ([0-9.]+)", told)
    assert level and float(level[1]) < EXPOSED, told


def test_answers_have_time_to_end(service: configparser.SectionProxy) -> None:
    words = shlex.split(service["ExecStart"])
    assert int(service["TimeoutStopSec"]) > int(words[words.index("--drain-seconds") + 1])


def test_the_command_is_real(service: configparser.SectionProxy, app: typer.Typer) -> None:
    command = service["ExecStart"].replace("${PACKAGE}", "PACKAGE").replace("$OPTIONS", "")
    assert complaint(app, command) is None


@pytest.fixture
def guarded(dynamic_package: Path) -> Iterator[str]:
    """The address of a server whose memory never becomes executable, and which gains no rights.

    The kernel can hold to that from Linux 6.3 on.
    """
    begin = [sys.executable, "-c", REFUSE_EXECUTABLE]
    if subprocess.run([*begin, "-c", "pass"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this kernel cannot refuse it")
    serve = ["-m", "vlmforge", "serve", str(dynamic_package), "--port", "0", "--model-name", "tiny"]
    with subprocess.Popen([*begin, *serve], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1]
        process.terminate()


def test_no_memory_need_become_executable(guarded: str) -> None:
    seen = [
        {"type": "image_url", "image_url": {"url": url_of(picture("red"))}},
        {"type": "video_url", "video_url": {"url": data("video/mp4", film(8))}},
    ]
    for form in ({"type": "text"}, {"type": "json_object"}):
        for part in seen:
            found = client_of(guarded).chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": [part]}],  # type: ignore[list-item,misc]
                max_tokens=4,
                response_format=form,  # type: ignore[arg-type]
            )
            assert found.usage and found.usage.completion_tokens
