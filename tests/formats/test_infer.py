"""``.infer``: the values of one sample."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vlmforge.errors import FormatError
from vlmforge.formats.infer import read_infer, write_infer


def test_values_read_back(tmp_path: Path) -> None:
    values = {"fc": np.ones((2, 3), np.float32), "position_ids": np.arange(6).reshape(3, 2)}
    write_infer(tmp_path / "a.infer", values, {"sample": "sample_000"})
    read = read_infer(tmp_path / "a.infer")
    assert set(read) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(read[name], value)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read_infer(tmp_path / "none.infer")


FULL = """
import resource, sys
import numpy as np
from vlmforge.errors import SystemFailure
from vlmforge.formats.infer import write_infer

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_infer(sys.argv[1], {"x": np.zeros(int(sys.argv[3]), np.float32)})
except SystemFailure as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "size"), [(100, 10), (1000, 300), (1000, 30_000)])
def test_a_full_disk_is_told_of_the_file(limit: int, size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.infer"
    write_infer(path, {"y": np.ones(3, np.float32)})
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL, str(path), str(limit), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout and path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
