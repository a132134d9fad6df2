"""``.infer``: the values of one sample."""

from __future__ import annotations

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
