"""R1's file: a TorchScript archive and the sidecar that says whose it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vlmforge.errors import RotationError
from vlmforge.formats.rotation import (
    Rotation,
    r1_path,
    read_rotation,
    sidecar_path,
    write_rotation,
)

SIZE = 12
MODEL = {"model": "tests/tiny", "model_fingerprint": "1" * 64}


def rotation(seed: int = 0) -> Rotation:
    noise = torch.randn(
        SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return Rotation.of(torch.linalg.qr(noise)[0])


def written(directory: Path) -> Path:
    path = r1_path(directory, "tiny_text_model")
    write_rotation(path, rotation(), **MODEL)
    return path


def read(path: Path, size: int = SIZE, fingerprint: str = "1" * 64) -> Rotation:
    return read_rotation(path, size=size, model_fingerprint=fingerprint)


def edit(path: Path, **changes: Any) -> None:
    sidecar = sidecar_path(path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **changes}))


def replace(path: Path, matrix: torch.Tensor) -> None:
    """Write another matrix with a sidecar that fits it."""
    write_rotation(path, Rotation.of(matrix), **MODEL)
    edit(path, size=SIZE)


def test_a_rotation_reads_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path == tmp_path / "tiny_text_model" / "R1" / "global_rotation.pth"
    read_back = read(path)
    assert torch.equal(read_back.matrix, rotation().matrix)
    assert read_back.matrix.dtype == torch.float64
    assert read_back.fingerprint == rotation().fingerprint


def test_the_fingerprint_is_that_of_the_bytes() -> None:
    bytes_ = rotation().matrix.numpy().astype("<f8").tobytes()
    assert rotation().fingerprint == hashlib.sha256(bytes_).hexdigest()


def test_the_tutorial_reads_the_archive(tmp_path: Path) -> None:
    archive = torch.jit.load(written(tmp_path))
    assert torch.equal(archive.state_dict()["0"], rotation().matrix)
    assert torch.equal(next(archive.parameters()), rotation().matrix)


def test_the_same_rotation_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert sidecar_path(first).read_bytes() == sidecar_path(second).read_bytes()


def test_a_float32_rotation_is_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    single = rotation().matrix.float()
    archive = torch.jit.script(torch.nn.ParameterList([torch.nn.Parameter(single)]))
    torch.jit.save(archive, path)
    edit(path, fingerprint=Rotation.of(single).fingerprint)
    assert torch.equal(read(path).matrix, single.double())


@pytest.mark.parametrize("missing", ["archive", "sidecar"])
def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path)
    gone = path if missing == "archive" else sidecar_path(path)
    gone.unlink()
    with pytest.raises(RotationError, match=f"{gone.name} is missing") as caught:
        read(path)
    assert caught.value.mend is not None
    assert "vlmforge mxq language" in caught.value.mend


def test_a_rotation_of_another_model_or_size_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(RotationError, match="of another model, tests/tiny"):
        read(path, fingerprint="2" * 64)
    with pytest.raises(RotationError, match="of size 12, the model of size 16"):
        read(path, size=16)


def test_a_matrix_that_is_not_orthogonal_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    for matrix in (1.001 * rotation().matrix, torch.full((SIZE, SIZE), torch.nan)):
        replace(path, matrix)
        with pytest.raises(RotationError, match="not orthogonal"):
            read(path)


@pytest.mark.parametrize(
    "matrix",
    [
        torch.eye(SIZE + 1, dtype=torch.float64)[:SIZE],
        torch.eye(3, dtype=torch.float64),
        torch.ones(SIZE * SIZE, dtype=torch.float64),
    ],
)
def test_a_matrix_of_another_shape_is_refused(tmp_path: Path, matrix: torch.Tensor) -> None:
    path = written(tmp_path)
    replace(path, matrix)
    with pytest.raises(RotationError, match="no matrix of 12x12 floats"):
        read(path)


def test_another_rotation_in_its_place_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    write_rotation(path, rotation(1), **MODEL)
    edit(path, fingerprint=rotation().fingerprint)
    with pytest.raises(RotationError, match="was altered"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + b"\0" * 40])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path)
    path.write_bytes(content)
    with pytest.raises(RotationError, match="not a TorchScript archive"):
        read(path)


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    path = written(tmp_path)
    torch.save({"0": rotation().matrix}, path)
    with pytest.raises(RotationError, match="not a TorchScript archive"):
        read(path)


def test_code_in_the_archive_is_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    monkeypatch.setattr(torch.jit, "load", None)
    monkeypatch.setattr(torch, "load", None)
    assert torch.equal(read(path).matrix, rotation().matrix)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(RotationError, match="too large"):
        read(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "R2"}'])
def test_a_malformed_sidecar_is_refused(tmp_path: Path, content: str) -> None:
    path = written(tmp_path)
    sidecar_path(path).write_text(content)
    with pytest.raises(RotationError, match="sidecar is malformed"):
        read(path)
