"""``.kv`` files: what was written is read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from vlmforge.errors import FormatError
from vlmforge.formats.container import VERSIONS, ContainerWriter
from vlmforge.formats.kv import Snapshot, SpanRecord

TOKENS = np.array([5, 9, 9, 1])
ROWS = np.arange(4 * 6, dtype=np.int8).reshape(4, 6)
GOOD = {"token_ids": TOKENS, "keys": np.array([5, -3, -3, 1]), "rows": ROWS}
SPANS = ((1, 1, 1, 2),)
TIMED = ((1, 2, 1, 1, 0.5),)


def write(path: Path, tensors: dict[str, np.ndarray], document: dict[str, object]) -> Path:
    with ContainerWriter(path, "kv") as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
        writer.finish(document)
    return path


@pytest.mark.parametrize("spans", [SPANS, TIMED])
def test_round_trip(tmp_path: Path, spans: tuple[SpanRecord, ...]) -> None:
    Snapshot("f" * 64, **GOOD, spans=spans).save(tmp_path / "a.kv")
    loaded = Snapshot.load(tmp_path / "a.kv")

    assert (loaded.package, loaded.spans) == ("f" * 64, spans)
    for name, array in GOOD.items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        np.testing.assert_array_equal(load_file(tmp_path / "a.kv")[name], array)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": TOKENS[:3]},
        {"keys": TOKENS.astype(np.int32)},
        {"rows": ROWS.reshape(-1)},
        {"rows": ROWS.astype(np.int16)},
        {"more": TOKENS},
    ],
)
def test_other_tensors_are_refused(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    path = write(tmp_path / "a.kv", {**GOOD, **change}, {"package": "f", "spans": []})

    with pytest.raises(FormatError, match="tensors are not"):
        Snapshot.load(path)


@pytest.mark.parametrize(
    "document",
    [
        {"spans": []},
        {"package": "f"},
        {"package": 3, "spans": []},
        {"package": "f", "spans": [], "more": 1},
        {"package": "f", "spans": [[0, 1, 1]]},
        {"package": "f", "spans": [[-1, 1, 1, 1]]},
        {"package": "f", "spans": [[0, 1, 0, 1]]},
        {"package": "f", "spans": [[0, 1, 1.5, 1]]},
        {"package": "f", "spans": [[0, 1, 1, 1, -1]]},
        {"package": "f", "spans": [[0, 1, 1, 1, 1e9]]},
        {"package": "f", "spans": [[0, 1, 1, 1, 1, 1]]},
    ],
)
def test_other_documents_are_refused(tmp_path: Path, document: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        Snapshot.load(write(tmp_path / "a.kv", GOOD, document))


def test_altered_rows_are_noticed(tmp_path: Path) -> None:
    Snapshot("f", **GOOD).save(tmp_path / "a.kv")
    data = bytearray((tmp_path / "a.kv").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.kv").write_bytes(data)

    with pytest.raises(FormatError, match="altered"):
        Snapshot.load(tmp_path / "a.kv")


def test_no_file_and_another_kind(tmp_path: Path) -> None:
    with ContainerWriter(tmp_path / "a.infer", "infer") as writer:
        writer.add("rows", ROWS)
        writer.finish({})
    for name, message in (("a.infer", "not 'kv'"), ("none.kv", "cannot be read")):
        with pytest.raises(FormatError, match=message):
            Snapshot.load(tmp_path / name)


def test_old_files_without_images_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERSIONS, "kv", (1,))
    write(tmp_path / "old.kv", {**GOOD, "keys": TOKENS}, {"package": "f"})
    write(tmp_path / "images.kv", GOOD, {"package": "f"})
    monkeypatch.undo()

    assert Snapshot.load(tmp_path / "old.kv").spans == ()
    with pytest.raises(FormatError, match="older vlmforge") as raised:
        Snapshot.load(tmp_path / "images.kv")
    assert "ask again" in str(raised.value.mend)


def test_files_of_later_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERSIONS, "kv", (3,))
    write(tmp_path / "new.kv", GOOD, {"package": "f", "spans": []})
    monkeypatch.undo()

    with pytest.raises(FormatError, match="version '3'; this vlmforge reads version 2"):
        Snapshot.load(tmp_path / "new.kv")
