"""The blocked order of product weights."""

from __future__ import annotations

import numpy as np
import pytest

from vlmforge.program.layout import pack, pack_group_scale, pack_int4, unpack, unpack_group_scale


@pytest.mark.parametrize(("n", "k"), [(1, 1), (16, 4), (17, 5), (33, 1027)])
def test_unpack_undoes_pack(n: int, k: int) -> None:
    weight = np.random.default_rng(0).integers(-127, 128, (n, k)).astype(np.int8)
    blocks = pack(weight)
    assert blocks.shape == (-(-n // 16), -(-k // 4), 16, 4)
    np.testing.assert_array_equal(unpack(blocks, n, k), weight)


def test_a_line_holds_four_columns_of_sixteen_rows() -> None:
    weight = np.arange(32 * 8, dtype=np.int16).reshape(32, 8)
    np.testing.assert_array_equal(pack(weight)[1, 1], weight[16:, 4:])


@pytest.mark.parametrize(("n", "k"), [(1, 1), (16, 8), (17, 5), (15, 12), (33, 1027)])
def test_unpack_undoes_pack_int4(n: int, k: int) -> None:
    weight = np.random.default_rng(0).integers(-8, 8, (n, k)).astype(np.int8)
    blocks = pack_int4(weight)
    assert (blocks.shape, blocks.dtype) == ((-(-n // 16), -(-k // 8), 16, 4), np.dtype(np.uint8))
    np.testing.assert_array_equal(unpack(blocks, n, k), weight)


def test_an_int4_byte_holds_columns_four_apart() -> None:
    weight = np.zeros((17, 11), np.int8)
    weight[16, 1], weight[16, 5], weight[16, 10] = -7, 7, 3
    blocks = pack_int4(weight)
    assert blocks[1, 0, 0].tolist() == [0x88, 0xF1, 0x88, 0x88]
    assert blocks[1, 1, 0].tolist() == [0x88, 0x88, 0x8B, 0x88]
    assert (blocks[1, :, 1:] == 0x88).all()


@pytest.mark.parametrize(("n", "groups"), [(1, 1), (16, 3), (33, 7)])
def test_group_scales(n: int, groups: int) -> None:
    scales = np.random.default_rng(0).integers(1, 128, (n, groups)).astype(np.int8)
    blocks = pack_group_scale(scales)
    assert blocks.shape == (-(-n // 16), groups, 16)
    assert (blocks[-1, :, n % 16 or 16 :] == 1).all()
    np.testing.assert_array_equal(blocks[(n - 1) // 16, :, (n - 1) % 16], scales[-1])
    np.testing.assert_array_equal(unpack_group_scale(blocks, n), scales)
