"""Every failure ends in words and a status, none in a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vlmforge.console import expected_failures
from vlmforge.errors import RunError


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and standard error of a program that raises."""
    with pytest.raises(SystemExit) as caught, expected_failures():
        raise error
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return caught.value.code, said


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RunError("what [/red]", where="\x1b[2Ja\nb", mend="how"), 2, "where: ␛[2Ja␊b"),
        (OSError(errno.ENOSPC, "", "file"), 2, "the disk is full"),
        (OSError(errno.EROFS, "", "file"), 2, "read-only"),
        (PermissionError(errno.EACCES, "", "file"), 2, "permission is denied"),
        (OSError(errno.ENAMETOOLONG, "", "file"), 2, "too long"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "file"), 2, "the system refuses: Input"),
        (ConnectionError("no route"), 2, "no route"),
        (MemoryError(), 2, "the memory does not suffice"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 2, "memory does not"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_known_failures(
    error: BaseException, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(error, capsys)
    assert code == status and words in said
    if status == 130:
        assert said.count("\n") == 1


def test_an_unexpected_failure_is_one_line_with_a_private_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, said = ended(KeyError("x"), capsys)
    (report,) = tmp_path.iterdir()
    assert code == 1 and said.count("\n") == 1 and str(report) in said
    assert "Traceback" in report.read_text() and report.stat().st_mode & 0o077 == 0


def test_debug_shows_the_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("VLMFORGE_DEBUG", "1")
    with pytest.raises(SystemExit), expected_failures():
        raise KeyError("x")
    assert "Traceback" in capsys.readouterr().err
