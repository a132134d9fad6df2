"""Pickles that describe a module are read; every other is refused, and nothing is called."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.errors import FormatError
from vlmforge.formats.tensor_pickle import MAX_OPERATIONS, StoredTensor, read_module

HEAD = b"\x80\x02c__torch__\nM\n)\x81}("
STORAGE = b"(X\x07\0\0\0storagectorch\nDoubleStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n("
    + STORAGE
    + b"K\0K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\nOrderedDict\n)RtR"
)
TAIL = b"ub."


def module(value: bytes) -> bytes:
    """A module with the attribute ``0``."""
    return HEAD + b"X\x01\0\0\x000" + value + TAIL


def test_a_tensor_is_found() -> None:
    attributes = read_module(module(TENSOR)).attributes
    assert attributes == {"0": StoredTensor("float64", "0", 4, 0, (2, 2), (2, 1))}


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    with pytest.raises(FormatError):
        read_module(pickle.dumps(Touch(tmp_path / "made"), protocol))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "value",
    [
        b"cposix\nsystem\n(X\x02\0\0\0idtR",
        b"cos\nsystem\n",
        b"c__torch__\nM\n)R",
        b"cposix\nsystem\n)\x81",
        b"ctorch\nDoubleStorage\n)\x81",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ccollections\nOrderedDict\nK\x01\x85R",
        b"ctorch\nLongStorage\n",
        b"(X\x07\0\0\0storagectorch\nDoubleStorage\nX\x01\0\0\x000X\x04\0\0\0cudaK\x04tQ",
        b"K\x01Q",
        TENSOR.replace(b"K\x02K\x02\x86", b"J\xff\xff\xff\xffK\x02\x86"),
        TENSOR.replace(b"K\x02K\x02\x86", b"K\x02\x85"),
        TENSOR.replace(b"K\x02K\x02\x86", b"K\x02"),
        TENSOR.replace(STORAGE, b"K\x01"),
        b"h\x63",
        b"K\x01a",
        b"}K\x01K\x02s",
        b"\x86",
        b"(\x85",
        b"t",
        b"}(X\x01\0\0\x00ai",
        b"P1\n",
        b"\x93",
        b"\x82\x01",
        b"Vtext\n",
        b"K\x01" * MAX_OPERATIONS,
    ],
)
def test_whatever_else_is_refused(value: bytes) -> None:
    with pytest.raises(FormatError):
        read_module(module(value))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"N.",
        b"\x80\x03N.",
        b"\x80\x02)\x80\x02.",
        HEAD + TAIL + b"trailing",
        HEAD + b"X\x01\0\0\x000NX\x01\0\0\x000N" + TAIL,
        HEAD + b"X\x01\0\0\x000N" + TAIL[:-1],
        b"\x80\x02c__torch__\nM\n)\x81K\x01b.",
        b"\x80\x02K\x01}b.",
    ],
)
def test_what_is_no_module_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        read_module(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_module(content: bytes) -> None:
    for each in (content, HEAD + content + TAIL, module(TENSOR + content)):
        with contextlib.suppress(FormatError):
            read_module(each)


@given(st.data())
def test_a_damaged_module_is_refused_or_a_module(data: st.DataObject) -> None:
    content = bytearray(module(TENSOR))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        read_module(bytes(content))
