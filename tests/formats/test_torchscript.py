"""TorchScript archives of one tensor are read without running them; others are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.errors import FormatError
from vlmforge.formats import torchscript
from vlmforge.formats.torchscript import read_tensor

MATRIX = torch.arange(12, dtype=torch.float64).reshape(3, 4)


class WithBuffer(torch.nn.Module):
    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("0", tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


class WithParameter(torch.nn.Module):
    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        self.register_parameter("0", torch.nn.Parameter(tensor))


class WithTwo(WithBuffer):
    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__(tensor)
        self.register_buffer("1", tensor.clone())


class WritesWhenLoaded(torch.nn.Module):
    """``torch.jit.load`` runs ``__setstate__``, and ``from_file`` makes the file."""

    def __init__(self, tensor: torch.Tensor, path: Path) -> None:
        super().__init__()
        self.register_buffer("matrix", tensor)
        self.path = str(path)

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool, str]:
        return self.matrix, self.training, self.path

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool, str]) -> None:
        self.matrix = torch.from_file(state[2], True, 4)
        self.training = state[1]
        self.path = state[2]


def listed(tensor: torch.Tensor) -> torch.nn.Module:
    return torch.nn.ParameterList([torch.nn.Parameter(tensor, requires_grad=False)])


def saved(module: torch.nn.Module) -> bytes:
    archive = io.BytesIO()
    torch.jit.save(torch.jit.script(module), archive)
    return archive.getvalue()


ARCHIVE = saved(listed(MATRIX))


def repacked(
    change: Callable[[str, bytes], list[tuple[str, bytes]]],
    compression: int = zipfile.ZIP_STORED,
    extra: str | None = None,
) -> bytes:
    """The archive with every member changed, dropped or repeated, and perhaps one more."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(ARCHIVE)) as before,
        zipfile.ZipFile(packed, "w", compression) as after,
    ):
        for name in before.namelist():
            for each, content in change(name, before.read(name)):
                after.writestr(each, content)
        if extra is not None:
            after.writestr(extra, b"")
    return packed.getvalue()


def without(gone: str) -> bytes:
    return repacked(lambda name, data: [] if name.endswith(gone) else [(name, data)])


@pytest.mark.parametrize("make", [listed, WithBuffer, WithParameter])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_modules_of_one_tensor_are_read(
    make: Callable[[torch.Tensor], torch.nn.Module], dtype: torch.dtype
) -> None:
    wanted = MATRIX.to(dtype)
    for tensor in (wanted, wanted.T, wanted[1:, ::2]):
        found = read_tensor(saved(make(tensor)), "0")
        np.testing.assert_array_equal(found, tensor.numpy())
        assert found.dtype == tensor.numpy().dtype
        assert found.flags.c_contiguous
        assert found.flags.writeable


def test_another_byte_order_is_turned() -> None:
    def swap(name: str, content: bytes) -> list[tuple[str, bytes]]:
        if name.endswith("byteorder"):
            content = b"big"
        if name.endswith("data/0"):
            content = np.frombuffer(content, "<f8").astype(">f8").tobytes()
        return [(name, content)]

    np.testing.assert_array_equal(read_tensor(repacked(swap), "0"), MATRIX.numpy())


def test_repacked_as_it_was_it_is_read() -> None:
    np.testing.assert_array_equal(read_tensor(repacked(lambda *m: [m]), "0"), MATRIX.numpy())
    np.testing.assert_array_equal(read_tensor(without("byteorder"), "0"), MATRIX.numpy())


def test_code_is_neither_run_nor_read() -> None:
    def change(name: str, content: bytes) -> list[tuple[str, bytes]]:
        return [(name, b"\0 no code" if "/code/" in name else content)]

    np.testing.assert_array_equal(read_tensor(repacked(change), "0"), MATRIX.numpy())


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (saved(WithTwo(MATRIX)), "data/1"),
        (repacked(lambda *m: [m], zipfile.ZIP_DEFLATED), "compressed"),
        (repacked(lambda *m: [m], extra="archive/extra/run.py"), "run.py' is not one"),
        (repacked(lambda *m: [m], extra="archive/attributes.pkl"), "is not one"),
        (repacked(lambda *m: [m], extra="archive/code/../../x.py"), "is not one"),
        (repacked(lambda *m: [m], extra="elsewhere/data/0"), "beside the archive"),
        (repacked(lambda n, c: [(n, c[:-8] if n.endswith("data/0") else c)]), "88 bytes, not 12"),
        (repacked(lambda n, c: [(n, b"weird" if n.endswith("order") else c)]), "byteorder"),
        (repacked(lambda n, c: [(n, bytes(70000) if n.endswith("data.pkl") else c)]), "larger"),
        (repacked(lambda n, c: [(n, c + c if n.endswith("data.pkl") else c)]), "goes on"),
        (without("data.pkl"), "data.pkl is missing"),
        (without("data/0"), "data/0 is missing"),
        (ARCHIVE[:-30], "unpacked"),
        (ARCHIVE.replace(b"DoubleStorage", b"HalfStorage  "), "unpacked"),
        (b"PK\5\6" + bytes(18), "data.pkl is missing"),
    ],
)
def test_other_archives_are_refused(archive: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_tensor(archive, "0")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="occurs twice"):
        read_tensor(repacked(lambda n, c: [(n, c)] * (2 if n.endswith("data/0") else 1)), "0")


def test_many_members_are_refused() -> None:
    names = [f"archive/code/m{i}.py" for i in range(torchscript.MAX_MEMBERS)]
    packed = repacked(lambda n, c: [(n, c), *((m, b"") for m in names if n.endswith("version"))])
    with pytest.raises(FormatError, match="more than 64 members"):
        read_tensor(packed, "0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"K\x03K\x04t", b"K\x04K\x04t"),  # more rows than there are
        (b"(K\x04K\x01t", b"(K\xffK\x01t"),  # rows further apart
        (b"q\x06K\x00", b"q\x06K\x01"),  # begins later
        (b"K\x03K\x04t", b"K\x00K\x04t"),
        (b"K\x0ctQ", b"K\x0dtQ"),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(before: bytes, after: bytes) -> None:
    def change(name: str, content: bytes) -> list[tuple[str, bytes]]:
        assert not name.endswith("data.pkl") or content.count(before) == 1
        return [(name, content.replace(before, after) if name.endswith("data.pkl") else content)]

    with pytest.raises(FormatError):
        read_tensor(repacked(change), "0")


def test_what_writes_when_loaded_writes_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    archive = saved(WritesWhenLoaded(MATRIX, made))
    with pytest.raises(FormatError, match="attributes to what is no module"):
        read_tensor(archive, "0")
    assert not made.exists()
    torch.jit.load(io.BytesIO(archive))
    assert made.exists()


def test_another_name_is_not_found() -> None:
    with pytest.raises(FormatError, match="no tensor '1'"):
        read_tensor(ARCHIVE, "1")


@given(st.data())
def test_a_damaged_archive_is_refused_or_read(data: st.DataObject) -> None:
    content = bytearray(ARCHIVE)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content) // 2]))]
    try:
        found = read_tensor(bytes(content), "0")
    except FormatError:
        return
    assert found.nbytes <= len(content)
