"""``.npy``: arrays in files of NumPy's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib import format as npy


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write the file that ``numpy.save`` writes.

    NumPy's own writes to files say little about a full disk: how many elements they wrote, and no
    number of an error.

    Raises:
        OSError: of the system, with its number.
    """
    array = np.asarray(array, order="C")
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)
