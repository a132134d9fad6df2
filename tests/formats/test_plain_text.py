"""Plain texts are UTF-8, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmforge.errors import FormatError
from vlmforge.formats import plain_text
from vlmforge.formats.plain_text import pieces, read_text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_mark_of_utf8_is_no_text(tmp_path: Path, mark: bytes) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(mark + "가 é".encode())
    assert read_text(file) == "가 é"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_another_encoding_is_told_with_its_place(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("a caf\u00e9 here".encode(encoding))
    with pytest.raises(FormatError, match=r"not UTF-8: byte \d+ is 0x") as told:
        read_text(file)
    assert told.value.where == file and "iconv" in str(told.value.mend)


def test_what_is_missing_is_not_told_to_be_converted(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FormatError, match="cannot be read") as told:
            read_text(path)
        assert told.value.where == path and "UTF-8" not in str(told.value.mend)


@pytest.mark.parametrize("text", ["", "a", "a\nb", "ab\ncd\n\nefghijk\nl\n", "abcdefghij"])
def test_a_long_text_comes_in_pieces_of_whole_lines(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(pieces(text)) == ([text] if text else [])
    monkeypatch.setattr(plain_text, "PIECE", 4)
    found = list(pieces(text))
    assert "".join(found) == text and max(map(len, found), default=0) <= 4
    for each in found[:-1]:
        assert each.endswith("\n") or "\n" not in each
