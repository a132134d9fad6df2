"""One display, whatever it is shown on: lines in a file, events for a program, a live terminal."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from vlmforge.bench import watch
from vlmforge.bench.watch import Watch
from vlmforge.console import failures_told, progress, tell
from vlmforge.console.display import Display
from vlmforge.console.events import EventScreen
from vlmforge.console.plain import PlainScreen
from vlmforge.errors import PackageError
from vlmforge.progress import Stage, Stages, in_stage

STAGES = [Stage("check"), Stage("mxq language", 80.0), Stage("package")]


class Clock:
    """Seconds that pass as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def work(display: Display, clock: Clock, step: float = 1.0) -> None:
    """Three stages, the second of which has twenty steps."""
    display.expect(STAGES)
    with in_stage(display, "check"):
        clock.now += 1
    with in_stage(display, "mxq language"):
        for done in range(20):
            clock.now += step
            display("rounding", done + 1, 20)
    display.note("an image of 4 megapixels")
    with in_stage(display, "package"):
        clock.now += 1


def test_a_display_is_told_of_stages() -> None:
    with progress() as display:
        assert isinstance(display, Stages)


def test_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "private_resident", lambda: None)
    clock = Clock()
    work(Display(PlainScreen(clock), Watch(), clock), clock)
    out, err = capsys.readouterr()
    assert out == "" and "\x1b" not in err and "\r" not in err
    assert err.splitlines() == [
        "[1/3] check: done in 1 s",
        "[2/3] mxq language: rounding 1/20; 1 s so far, about 79 s left, about 79 s for all",
        "[2/3] mxq language: rounding 6/20; 6 s so far, about 74 s left, about 74 s for all",
        "[2/3] mxq language: rounding 11/20; 11 s so far, about 69 s left, about 69 s for all",
        "[2/3] mxq language: rounding 16/20; 16 s so far, about 64 s left, about 64 s for all",
        "[2/3] mxq language: done in 20 s",
        "an image of 4 megapixels",
        "[3/3] package: done in 1 s",
    ]


def test_without_stages_each_piece_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    display = Display(PlainScreen(clock), Watch(), clock)
    for text in ("comparing", "writing"):
        for done in range(3):
            clock.now += 1
            display(text, done + 1, 3)
    assert capsys.readouterr().err.splitlines() == [
        "comparing 1/3; 1 s so far",
        "comparing: 3 in 2 s",
        "writing 3/3; 5 s so far",
        "writing: 3 in 2 s",
    ]


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The events, each of which is an object in a line of ASCII."""
    out = capsys.readouterr().out
    assert out.isascii()
    return [json.loads(line) for line in out.splitlines()]


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    clock, watch = Clock(), Watch()
    work(Display(EventScreen(clock), watch, clock), clock, step=0.25)
    events = told(capsys)
    kinds = [event["event"] for event in events]
    assert kinds == ["stage"] * 3 + ["progress"] * 6 + ["stage", "note"] + ["stage"] * 2
    assert [e["state"] for e in events if e["event"] == "stage"] == ["begun", "ended"] * 3
    begun, step = events[2], events[4]
    assert begun.keys() - {"memory"} == {
        "event", "state", "stage", "number", "stages", "seconds", "left_seconds",
        "all_left_seconds",
    }  # fmt: skip
    assert (begun["stage"], begun["number"], begun["stages"]) == ("mxq language", 2, 3)
    assert (begun["left_seconds"], begun["all_left_seconds"]) == (80.0, 80.0)
    assert (step["text"], step["done"], step["total"]) == ("rounding", 5, 20)
    assert events[8]["done"] == 20 and step["seconds"] == 1.2
    assert events[10] == {"event": "note", "text": "an image of 4 megapixels"}
    taken = events[-1]["memory"]
    assert taken is None or 0 < taken["now"] <= taken["peak"]


def test_names_are_text_in_events(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(events=True) as display:
        display("한국어\x1b\x9b\ud83d\n", 1, 1)
        logging.getLogger("vlmforge").warning("가 \x1b")
    first, second = told(capsys)
    assert first["text"] == "한국어\x1b\x9b\ud83d\n"
    assert second == {"event": "warning", "text": "가 \x1b"}


@pytest.mark.parametrize(
    ("error", "what", "status"),
    [
        (FileNotFoundError(2, "no", "x.mxq"), "there is no such file or directory", 2),
        (ZeroDivisionError("by zero"), "unexpected ZeroDivisionError: by zero", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (SystemExit(143), "ended by the signal 15", 143),
    ],
)
def test_whatever_ends_it_is_an_event(
    error: BaseException, what: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), failures_told():
        raise error
    (event,) = told(capsys)
    assert (event["event"], event["what"], event["status"]) == ("failed", what, status)


def test_a_known_failure_says_where_and_how_to_mend_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PackageError), failures_told():
        raise PackageError("it is gone", where=Path("x.mxq"), mend="make it")
    assert told(capsys) == [
        {
            "event": "failed",
            "what": "it is gone",
            "where": "x.mxq",
            "mend": "make it",
            "kind": "PackageError",
            "status": 2,
        }
    ]


def test_success_tells_of_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with failures_told():
        tell("done", {"summary": {}})
    with pytest.raises(SystemExit), failures_told():
        raise SystemExit(0)
    assert told(capsys) == [{"event": "done", "summary": {}}]


SCRIPT = """
import time
from vlmforge.console import progress
from vlmforge.progress import Stage, in_stage
with progress() as display:
    display.expect([Stage("확인"), Stage("mxq language", 80.0)])
    with in_stage(display, "확인"):
        pass
    with in_stage(display, "mxq language"):
        for done in range(6):
            display("가중치를 반올림하는 중입니다, rounding the language model", done + 1, 20)
            time.sleep(0.15)
print("finished")
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown_on_terminal(columns: int, **environment: str) -> str:
    """What a script's display writes to a terminal of so many columns."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-c", f"exec({SCRIPT!a})"]
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal,
        env={**settings, "TERM": "xterm", "PYTHONUTF8": "0", **environment}, close_fds=True,
    )  # fmt: skip
    os.close(terminal)
    written, end = b"", time.monotonic() + 120
    while time.monotonic() < end and select.select([master], [], [], 60)[0]:
        try:
            written += os.read(master, 65536)
        except OSError:  # the other side was closed
            break
    assert process.wait(60) == 0, written
    os.close(master)
    return written.decode()


@pytest.mark.parametrize("columns", [20, 44, 120])
def test_a_terminal_shows_lines_that_stay_in_place(columns: int) -> None:
    written = shown_on_terminal(columns, LC_ALL="C.UTF-8", PYTHONIOENCODING="utf-8")
    assert "\x1b[1A" in written and "finished" in written
    plain = CONTROL.sub("", written)
    lines = [line for part in plain.splitlines() for line in part.split("\r")]
    live = [line for line in lines if "so far" in line or "가중치" in line or "[2/2]" in line]
    assert "[1/2] 확인: done in 1 s" in plain and "[2/2] mxq language: done in" in plain
    assert any("가중치" in line for line in live)
    assert all(cell_len(line) <= columns for line in lines if "done in" not in line)
    if columns == 120:
        assert any("rounding the language model 6/20" in line for line in lines)
        assert any("about 80 s left" in line or "about 79 s left" in line for line in lines)
    else:
        assert any(line.endswith("…") for line in live)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    settings = {"PYTHONIOENCODING": "ascii:replace", "PYTHONCOERCECLOCALE": "0"}
    written = shown_on_terminal(40, LC_ALL="C", **settings)
    assert written.isascii() and "finished" in written
    assert "[2/2] mxq language" in written and "???? ????? ????" in written
    assert "..." in written and "---" in written


def test_a_dumb_terminal_gets_lines() -> None:
    written = shown_on_terminal(60, TERM="dumb", LC_ALL="C.UTF-8", PYTHONIOENCODING="utf-8")
    assert "\x1b" not in written and "[2/2] mxq language: done in" in written
