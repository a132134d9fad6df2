"""Containers: what was altered after writing is refused, each alteration by name."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter, header_sha256
from vlmforge.formats.header import TensorEntry

DOCUMENT = {"nodes": [1, 2.5, "é", None], "meta": {"size": [224, 224]}}
ARRAYS = {
    "weight": np.arange(128, dtype=np.int8).reshape(2, 64),
    "scale": np.ones(3, np.float32),
}


def write(path: Path, kind: str = "mxq") -> Path:
    with ContainerWriter(path, kind) as writer:
        for name, array in ARRAYS.items():
            writer.add(name, array)
        writer.finish(DOCUMENT)
    return path


def alter(path: Path, change: Callable[[dict[str, Any]], None], *, sign: bool = False) -> None:
    """Change the header's metadata; with ``sign``, as a writer would who knows the format."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    change(metadata)
    if sign:
        entries = {
            name: TensorEntry(each["dtype"], tuple(each["shape"]), *each["data_offsets"])
            for name, each in header.items()
        }
        metadata["header_sha256"] = header_sha256(entries, metadata)
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def set_hashes(change: Callable[[dict[str, str]], None]) -> Callable[[dict[str, Any]], None]:
    def apply(metadata: dict[str, Any]) -> None:
        table = json.loads(metadata["sha256"])
        change(table)
        metadata["sha256"] = json.dumps(table)

    return apply


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = Container.open(write(tmp_path / "a.mxq"), "mxq")
    assert file.document == DOCUMENT
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file.arrays[name], array)
    assert file.arrays["weight"].ctypes.data % 64 == 0


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    with safe_open(write(tmp_path / "a.mxq"), "np") as file:
        assert json.loads(file.metadata()["document"]) == DOCUMENT
        np.testing.assert_array_equal(file.get_tensor("weight"), ARRAYS["weight"])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a").read_bytes() == write(tmp_path / "b").read_bytes()


def test_a_document_without_number_is_not_written(tmp_path: Path) -> None:
    with ContainerWriter(tmp_path / "a", "mxq") as writer, pytest.raises(ValueError, match="JSON"):
        writer.finish({"scale": float("nan")})
    assert not list(tmp_path.iterdir())


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="of the format 'mblt', not 'mxq'"):
        Container.open(write(tmp_path / "a", "mblt"), "mxq")
    alter(tmp_path / "a", lambda metadata: metadata.pop("format"))
    with pytest.raises(FormatError, match="names no format"):
        Container.open(tmp_path / "a", "mxq")


@pytest.mark.parametrize("version", ["0", "2", "1.0", ""])
def test_an_unknown_version_is_refused(tmp_path: Path, version: str) -> None:
    path = write(tmp_path / "a")
    alter(path, lambda metadata: metadata.update(version=version), sign=True)
    with pytest.raises(FormatError, match=f"of version {version!r}; this vlmforge reads"):
        Container.open(path, "mxq")


@pytest.mark.parametrize("key", ["document", "sha256", "producer", "header_sha256"])
def test_missing_metadata_are_refused(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "a")
    alter(path, lambda metadata: metadata.pop(key))
    with pytest.raises(FormatError, match=f"missing or unknown keys: {key}"):
        Container.open(path, "mxq")


@pytest.mark.parametrize("verify", [True, False])
def test_an_altered_document_is_refused(tmp_path: Path, verify: bool) -> None:
    path = write(tmp_path / "a")
    alter(path, lambda metadata: metadata.update(document="{}"))
    with pytest.raises(FormatError, match="header was altered"):
        Container.open(path, "mxq", verify)


def test_an_altered_shape_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"shape":[2,64]', b'"shape":[64,2]'))
    with pytest.raises(FormatError, match="header was altered"):
        Container.open(path, "mxq")


def test_an_altered_tensor_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="'scale' was altered"):
        Container.open(path, "mxq")
    Container.open(path, "mxq", verify=False)


def test_a_missing_and_an_extra_hash_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    alter(path, set_hashes(lambda table: table.pop("scale")), sign=True)
    with pytest.raises(FormatError, match="'scale' has no hash"):
        Container.open(path, "mxq")
    write(path)
    alter(path, set_hashes(lambda table: table.update(other="0")), sign=True)
    with pytest.raises(FormatError, match="'other' has a hash and is missing"):
        Container.open(path, "mxq")


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1e999}'])
def test_a_document_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a")
    alter(path, lambda metadata: metadata.update(document=text), sign=True)
    with pytest.raises(FormatError, match="the document is not"):
        Container.open(path, "mxq")


def test_tensors_off_their_alignment_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    padded = struct.pack("<Q", length + 4) + content[8 : 8 + length] + b"    "
    path.write_bytes(padded + content[8 + length :])
    with pytest.raises(FormatError, match="'weight' is not aligned"):
        Container.open(path, "mxq")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    content = path.read_bytes()
    for size in range(0, len(content), 37):
        path.write_bytes(content[:size])
        with pytest.raises(FormatError):
            Container.open(path, "mxq", verify=False)
