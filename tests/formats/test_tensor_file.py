"""Safetensors files: written in a stream, read as if an enemy had written them."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from vlmforge.errors import FormatError, RunError
from vlmforge.formats.header import ALIGNMENT, MAX_HEADER
from vlmforge.formats.tensor_file import TensorFile
from vlmforge.formats.tensor_writer import TensorWriter

ARRAYS = {
    "odd": np.arange(3, dtype=np.int8),
    "scalar": np.array(2.5, np.float32),
    "rows": np.arange(96, dtype=np.float32).reshape(6, 16),
    "wide": np.arange(7, dtype=np.int64),
    "codes": np.arange(64, dtype=np.int16)[::-1],
    "half": np.ones((2, 3, 5), np.float16),
}


def write(path: Path, arrays: dict[str, np.ndarray] = ARRAYS) -> Path:
    with TensorWriter(path) as writer:
        for name, array in arrays.items():
            writer.add(name, array)
        writer.finish({"format": "pt", "note": "é"})
    return path


def raw(path: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype: object, shape: object, *offsets: object) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = TensorFile.open(write(tmp_path / "a.safetensors"))
    assert file.metadata == {"format": "pt", "note": "é"}
    assert set(file.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file.arrays[name], array)
        assert file.arrays[name].dtype == array.dtype
        assert not file.arrays[name].flags.writeable


def test_the_safetensors_library_reads_our_files(tmp_path: Path) -> None:
    with safe_open(write(tmp_path / "a.safetensors"), "np") as file:
        assert file.metadata()["note"] == "é"
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_we_read_the_safetensors_librarys_files(tmp_path: Path) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    save_file(arrays, tmp_path / "a.safetensors")
    file = TensorFile.open(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.arrays[name], array)


def test_tensors_are_aligned_as_their_size_allows(tmp_path: Path) -> None:
    for array in TensorFile.open(write(tmp_path / "a.safetensors")).arrays.values():
        assert array.ctypes.data % np.gcd(array.nbytes, ALIGNMENT) == 0


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_pieces_make_the_tensor(tmp_path: Path) -> None:
    whole = np.arange(30, dtype=np.float32).reshape(10, 3)
    with TensorWriter(tmp_path / "a") as writer:
        writer.add_chunks("w", "F32", (10, 3), (whole[i : i + 4] for i in range(0, 10, 4)))
        writer.finish({})
    file = TensorFile.open(tmp_path / "a")
    np.testing.assert_array_equal(file.arrays["w"], whole)
    assert file.sha256() == writer.sha256


def test_pieces_that_do_not_make_the_tensor_are_refused(tmp_path: Path) -> None:
    with TensorWriter(tmp_path / "a") as writer:
        with pytest.raises(ValueError, match="do not fill"):
            writer.add_chunks("w", "F32", (3,), [np.ones(2, np.float32)])
        with pytest.raises(TypeError, match="float64, not F32"):
            writer.add_chunks("w", "F32", (3,), [np.ones(3)])
        with pytest.raises(TypeError, match="cannot hold complex64"):
            writer.add("w", np.ones(3, np.complex64))
        with pytest.raises(ValueError, match="do not fill"):
            writer.add("w", np.ones((0, 3), np.float32))


def test_a_name_is_used_once(tmp_path: Path) -> None:
    with TensorWriter(tmp_path / "a") as writer:
        writer.add("w", ARRAYS["odd"])
        for name in ("w", "", "__metadata__", "a\nb"):
            with pytest.raises(ValueError, match="cannot name"):
                writer.add(name, ARRAYS["odd"])


def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    old = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), TensorWriter(path) as writer:
        writer.add("w", ARRAYS["odd"])
        raise KeyboardInterrupt
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


GOOD = entry("I8", [4], 0, 4)

HOSTILE = {
    "not JSON": (b"{", "not valid JSON"),
    "not UTF-8": (b"\xff\xfe", "not valid JSON"),
    "no object": (b"[]", "not a JSON object"),
    "key twice": (b'{"a": 1, "a": 1}', "a key occurs twice"),
    "NaN": (b'{"a": NaN}', "not a finite number"),
    "infinite": (b'{"a": 1e999}', "not a finite number"),
    "very deep": (b'{"a":' + b"[" * 100_000, "not valid JSON"),
    "many digits": (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    "metadata not strings": ({"__metadata__": {"a": 1}, "t": GOOD}, "__metadata__"),
    "no entry": ({"t": 1}, "not described by"),
    "entry with more keys": ({"t": {**GOOD, "x": 1}}, "not described by"),
    "unknown dtype": ({"t": entry("F8", [4], 0, 4)}, "unknown dtype"),
    "unhashable dtype": ({"t": entry([], [4], 0, 4)}, "unknown dtype"),
    "negative size": ({"t": entry("I8", [-4], 0, 4)}, "no shape"),
    "size not integer": ({"t": entry("I8", [4.0], 0, 4)}, "no shape"),
    "boolean size": ({"t": entry("I8", [True, 4], 0, 4)}, "no shape"),
    "empty tensor": ({"t": entry("I8", [0, 1 << 62], 0, 0)}, "no shape"),
    "too many dimensions": ({"t": entry("I8", [4] + [1] * 9, 0, 4)}, "no shape"),
    "shape too large": ({"t": entry("I64", [1 << 61, 1 << 61], 0, 4)}, "its dtype and shape need"),
    "bytes do not fit": ({"t": entry("I16", [4], 0, 4)}, "its dtype and shape need 8"),
    "offsets turned": ({"t": entry("I8", [4], 4, 0)}, "data_offsets"),
    "three offsets": ({"t": entry("I8", [4], 0, 4, 4)}, "data_offsets"),
    "outside the file": ({"t": entry("I8", [8], 0, 8)}, "truncated: the tensor 't' ends outside"),
    "far outside": ({"t": entry("I8", [1 << 60], 0, 1 << 60)}, "ends outside"),
    "overlap": ({"a": entry("I8", [3], 0, 3), "b": entry("I8", [2], 2, 4)}, "overlaps another"),
    "hole": ({"a": entry("I8", [1], 0, 1), "b": entry("I8", [2], 2, 4)}, "a hole before"),
    "hole at the start": ({"t": entry("I8", [2], 2, 4)}, "a hole before"),
    "bytes of nobody": ({"t": entry("I8", [2], 0, 2)}, "2 bytes that belong to no tensor"),
    "unprintable name": ({"\ud800": GOOD}, "not printable"),
    "empty name": ({"": GOOD}, "not printable"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused(tmp_path: Path, case: str) -> None:
    header, message = HOSTILE[case]
    with pytest.raises(FormatError, match=message) as caught:
        TensorFile.open(raw(tmp_path / "a", header, b"data"))
    assert caught.value.where == tmp_path / "a"
    assert str(caught.value).isprintable() or "\n" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\0" * 7, "too short"),
        (struct.pack("<Q", MAX_HEADER + 1) + b"{}", "its header is too large"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "its header is too large"),
        (struct.pack("<Q", 3) + b"{}", "ends within its header"),
        (b"PK\3\4 a zip archive", "not a safetensors file"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        TensorFile.open(tmp_path / "a")


def test_elements_off_their_alignment_are_refused(tmp_path: Path) -> None:
    entries = {"a": entry("I8", [1], 0, 1), "b": entry("F32", [1], 1, 5)}
    with pytest.raises(FormatError, match="'b' is not aligned"):
        TensorFile.open(raw(tmp_path / "a", entries, b"\0" * 5))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FormatError, match="cannot be read"):
            TensorFile.open(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_a_named_error_or_other_data(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    content = bytearray(write(path).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        arrays = TensorFile.open(path).arrays
    except FormatError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(content)


def test_a_file_that_was_written_or_cut_in_its_place_is_refused(tmp_path: Path) -> None:
    def rewrite(path: Path) -> None:
        path.write_bytes(path.read_bytes())

    for change in (rewrite, lambda path: os.truncate(path, 100), lambda path: os.truncate(path, 0)):
        file = TensorFile.open(write(tmp_path / "a.safetensors"))
        file.require_unchanged()
        change(file.path)
        with pytest.raises(RunError, match=r"a\.safetensors was changed") as caught:
            file.require_unchanged()
        assert caught.value.where == file.path
        file.path.unlink()


def test_a_cut_is_noticed_behind_another_name(tmp_path: Path) -> None:
    file = TensorFile.open(write(tmp_path / "a.safetensors"))
    (tmp_path / "b").hardlink_to(file.path)
    file.path.unlink()
    file.require_unchanged()
    os.truncate(tmp_path / "b", 100)
    with pytest.raises(RunError, match="was changed"):
        file.require_unchanged()


def test_a_file_that_was_replaced_or_removed_is_still_there(tmp_path: Path) -> None:
    file = TensorFile.open(write(tmp_path / "a.safetensors"))
    write(tmp_path / "b", {"other": np.zeros(3, np.int8)}).replace(file.path)
    file.require_unchanged()
    file.path.unlink()
    file.require_unchanged()
    np.testing.assert_array_equal(file.arrays["rows"], ARRAYS["rows"])


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError):
        TensorFile.open(tmp_path / "pipe")
