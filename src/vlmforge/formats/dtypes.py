"""The element types a tensor file may hold, by their safetensors names."""

from __future__ import annotations

import numpy as np

DTYPES: dict[str, np.dtype] = {
    name: np.dtype(stored)
    for name, stored in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "BF16": "<u2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U8": "u1",
    }.items()
}
"""Safetensors name to the NumPy dtype of its bytes; bfloat16 appears as its raw uint16 bits."""

_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}


def dtype_name(dtype: np.dtype) -> str:
    """The safetensors name of a NumPy dtype; raises ``TypeError`` if a file cannot hold it."""
    name = _NAMES.get(dtype.newbyteorder("<"))
    if name is None:
        raise TypeError(f"a tensor file cannot hold {dtype}")
    return name
