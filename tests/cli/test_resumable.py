"""An interrupted compile says how to go on, and does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import default_signals
from vlmforge.cli.resumable import resumable

SENTENCE = "interrupted: run the same command again to go on"
AFRESH = "interrupted: run the same command again without --fresh to go on"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_say_how_to_go_on(
    tiny_decoder: Path, tmp_path: Path, number: int, status: int
) -> None:
    (tmp_path / "text.txt").write_text("The square is left of the circle, which is red. " * 40)
    command = [
        *(sys.executable, "-m", "vlmforge", "compile", str(tiny_decoder)),
        *("--out", str(tmp_path / "out"), "--num-samples", "3"),
        *("--calibration-text", str(tmp_path / "text.txt"), "--calibration-length", "32"),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=default_signals
    )
    sampled = tmp_path / "out.work" / "steps" / "calibrate-text.json"
    while process.poll() is None and not sampled.exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == status and said.count("interrupted") == 1 and SENTENCE in said
    assert not list(tmp_path.rglob("*.partial-*")) and "Traceback" not in said
    assert not (tmp_path / "out.work" / "work.lock").exists()
    if number == signal.SIGTERM:
        again = subprocess.run(command, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert "calibrate text: made already" in again.stderr


@pytest.mark.parametrize(("fresh", "sentence"), [(False, SENTENCE), (True, AFRESH)])
def test_what_begins_anew_goes_on_without_the_option(fresh: bool, sentence: str) -> None:
    with pytest.raises(KeyboardInterrupt, match=sentence), resumable(fresh):
        raise KeyboardInterrupt
