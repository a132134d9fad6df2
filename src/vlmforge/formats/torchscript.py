"""The tensor of a TorchScript archive, read as data: nothing in the file is executed.

An archive is a ZIP file. ``data.pkl`` describes the module and its tensors, ``data/0`` holds the
numbers, both uncompressed; the module's code beside them is not looked at. ``torch.jit.load``
would compile that code, and run it.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from typing import Final, Literal

import numpy as np

from vlmforge.errors import FormatError
from vlmforge.formats.tensor_pickle import StoredTensor, read_module

MAX_MEMBERS: Final = 64
MAX_PICKLE: Final = 1 << 16

DESCRIPTION, NUMBERS, ORDER = "data.pkl", "data/0", "byteorder"
BESIDE: Final = (
    "constants.pkl", "version", ".format_version", ".storage_alignment", ".data/serialization_id",
)  # fmt: skip
"""Members that say nothing about the tensor."""

CODE: Final = re.compile(r"code/(\w[\w.-]*/)*\w[\w.-]*\.(py|debug_pkl)")
ORDERS: Final[dict[bytes, Literal["<", ">"]]] = {b"little": "<", b"big": ">"}
ENCRYPTED: Final = 1

UNREADABLE = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
    struct.error, IndexError, OverflowError,
)  # fmt: skip
"""What zipfile raises for a malformed file."""


def read_tensor(archive: bytes, name: str) -> np.ndarray:
    """The tensor ``state_dict()[name]`` of the module in an archive with no other storage.

    Returns:
        float32 or float64, of the tensor's shape, as many bytes as the archive at most.

    Raises:
        FormatError: the file is no such archive, or more than that.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            members = _members(file)
            described = file.read(members[DESCRIPTION])
            numbers = file.read(members[NUMBERS])
            order = file.read(members[ORDER]) if ORDER in members else b"little"
    except UNREADABLE as error:
        raise FormatError(f"it cannot be unpacked: {error}") from error
    if order not in ORDERS:
        raise FormatError(f"{ORDER} is none of {', '.join(o.decode() for o in ORDERS)}")
    try:
        tensor = (read_module(described).attributes or {}).get(name)
    except FormatError as error:
        raise FormatError(f"{DESCRIPTION} describes more than a tensor: {error.what}") from error
    if not isinstance(tensor, StoredTensor):
        raise FormatError(f"it has no tensor {name!r}")
    return _view(tensor, numbers, ORDERS[order])


def _members(file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members that say what the tensor is, by their name below the archive's directory."""
    infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise FormatError(f"it has more than {MAX_MEMBERS} members")
    found: dict[str, zipfile.ZipInfo] = {}
    roots = {info.filename.split("/")[0] for info in infos}
    for info in infos:
        name = info.filename.partition("/")[2]
        if name in found or len(roots) != 1:
            raise FormatError(f"the member {info.filename!r} occurs twice, or beside the archive")
        if name not in (DESCRIPTION, NUMBERS, ORDER, *BESIDE) and not CODE.fullmatch(name):
            raise FormatError(f"the member {info.filename!r} is not one of a module with a tensor")
        found[name] = info
    for name in (DESCRIPTION, NUMBERS):
        if name not in found:
            raise FormatError(f"{name} is missing")
    for name in {DESCRIPTION, NUMBERS, ORDER} & found.keys():
        _require_plain(found[name], name)
    if found[DESCRIPTION].file_size > MAX_PICKLE:
        raise FormatError(f"{DESCRIPTION} is larger than {MAX_PICKLE} bytes")
    return found


def _require_plain(info: zipfile.ZipInfo, name: str) -> None:
    stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not stored or info.flag_bits & ENCRYPTED:
        raise FormatError(f"{name} is compressed or encrypted, which no TorchScript archive does")


def _view(tensor: StoredTensor, numbers: bytes, order: Literal["<", ">"]) -> np.ndarray:
    dtype = np.dtype(tensor.dtype).newbyteorder(order)
    if len(numbers) != tensor.elements * dtype.itemsize:
        raise FormatError(f"{NUMBERS} has {len(numbers)} bytes, not {tensor.elements} numbers")
    if tensor.storage != NUMBERS.removeprefix("data/"):
        raise FormatError(f"the tensor lies in data/{tensor.storage!r}, not in {NUMBERS}")
    size, last = 1, tensor.offset
    for extent, stride in zip(tensor.shape, tensor.strides, strict=True):
        size *= extent
        last += (extent - 1) * stride
    if not 0 < size <= tensor.elements or last >= tensor.elements:
        raise FormatError(f"a tensor of {list(tensor.shape)} does not lie in its storage")
    flat = np.frombuffer(numbers, dtype)[tensor.offset :]
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
    return view.astype(tensor.dtype, order="C")
