"""The size checker measures functions and fails on long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_sizes


def write_function(folder: Path, lines: int) -> None:
    """A file with one decorated function of so many lines, decorator included."""
    body = ["@cache", "def long():", *["    pass"] * (lines - 2)]
    (folder / "module.py").write_text("\n".join(body) + "\n", encoding="utf-8")


def test_length_counts_decorators_and_nested_functions(tmp_path: Path) -> None:
    source = "@cache\ndef outer():\n    async def inner():\n        pass\n    return inner\n"
    file = tmp_path / "module.py"
    file.write_text(source, encoding="utf-8")
    found = {function.name: function.length for function in check_sizes.functions(file)}
    assert found == {"outer": 5, "inner": 2}


def test_limit_is_the_last_length_that_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_function(tmp_path, check_sizes.LIMIT)
    assert check_sizes.main([str(tmp_path)]) == 0
    write_function(tmp_path, check_sizes.LIMIT + 1)
    assert check_sizes.main([str(tmp_path)]) == 1
    assert f"{tmp_path / 'module.py'}:2: long has 61 lines" in capsys.readouterr().out


def test_empty_folder_passes(tmp_path: Path) -> None:
    assert check_sizes.main([str(tmp_path)]) == 0
