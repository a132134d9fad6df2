"""Arrays are written as NumPy writes them, and a full disk is told with its number."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vlmforge.formats.npy import write_npy

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from vlmforge.formats.npy import write_npy

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_npy(Path(sys.argv[1]), np.zeros(int(sys.argv[3]), np.float32))
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.arange(12, dtype=np.int64).reshape(3, 4).T,
        np.arange(12, dtype=np.int8)[::3],
        np.zeros((2, 0), np.float64),
        np.array(True),
    ],
)
def test_the_bytes_are_numpys(tmp_path: Path, array: np.ndarray) -> None:
    write_npy(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", np.asarray(array, order="C"))
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
@pytest.mark.parametrize(("limit", "size"), [(100, 10), (1000, 300), (1000, 30_000)])
def test_a_full_disk_has_its_number(limit: int, size: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.npy"), str(limit), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == errno.EFBIG
