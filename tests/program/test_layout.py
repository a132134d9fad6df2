"""The blocked order of product weights."""

from __future__ import annotations

import numpy as np
import pytest

from vlmforge.program.layout import pack, unpack


@pytest.mark.parametrize(("n", "k"), [(1, 1), (16, 4), (17, 5), (33, 1027)])
def test_unpack_undoes_pack(n: int, k: int) -> None:
    weight = np.random.default_rng(0).integers(-127, 128, (n, k)).astype(np.int8)
    blocks = pack(weight)
    assert blocks.shape == (-(-n // 16), -(-k // 4), 16, 4)
    np.testing.assert_array_equal(unpack(blocks, n, k), weight)


def test_a_line_holds_four_columns_of_sixteen_rows() -> None:
    weight = np.arange(32 * 8, dtype=np.int16).reshape(32, 8)
    np.testing.assert_array_equal(pack(weight)[1, 1], weight[16:, 4:])
