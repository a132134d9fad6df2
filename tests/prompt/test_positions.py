"""M-RoPE positions equal those of Hugging Face's model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

from vlmforge.prompt.positions import rope_index


class RopeOnly:
    """What ``get_rope_index`` reads of a model."""

    config = SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2))
    get_vision_position_ids = Qwen2VLModel.get_vision_position_ids
    get_rope_index = Qwen2VLModel.get_rope_index


def hugging_face(types: np.ndarray, grids: list[tuple[int, int]]) -> tuple[np.ndarray, int]:
    """Positions int64 ``[3, seq]`` and the rope delta."""
    tokens = torch.from_numpy(types.astype(np.int64))[None]
    grid = torch.tensor([[1, 2 * h, 2 * w] for h, w in grids]) if grids else None
    positions, delta = RopeOnly().get_rope_index(tokens, tokens.int(), grid)
    return positions[:, 0].numpy(), int(delta)


def token_types(texts: list[int], grids: list[tuple[int, int]]) -> np.ndarray:
    """bool ``[seq]``: texts of given lengths with images between them."""
    runs = [np.zeros(texts[0], bool)]
    for (height, width), text in zip(grids, texts[1:], strict=True):
        runs += [np.ones(height * width, bool), np.zeros(text, bool)]
    return np.concatenate(runs)


GRIDS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=4)


@given(st.data(), GRIDS)
def test_equals_hugging_face(data: st.DataObject, grids: list[tuple[int, int]]) -> None:
    texts = data.draw(st.lists(st.integers(1, 9), min_size=len(grids) + 1, max_size=len(grids) + 1))
    types = token_types(texts, grids)
    expected, delta = hugging_face(types, grids)

    positions, following = rope_index(types, grids)

    np.testing.assert_array_equal(positions, expected)
    assert following - types.size == delta


@pytest.mark.parametrize("cut", [3, 3 + 64 + 5])
def test_a_later_turn_continues_where_the_first_ended(cut: int) -> None:
    grids = [(8, 8), (8, 8)]
    types = token_types([3, 5, 4], grids)
    whole, end = rope_index(types, grids)
    images_before = int(types[:cut].sum()) // 64

    first, following = rope_index(types[:cut], grids[:images_before])
    second, last = rope_index(types[cut:], grids[images_before:], following)

    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    assert last == end


def test_images_may_touch_and_come_first_or_last() -> None:
    positions, following = rope_index(np.ones(4, bool), [(1, 2), (2, 1)])

    assert positions.tolist() == [[0, 0, 2, 2], [0, 0, 2, 3], [0, 1, 2, 2]]
    assert following == 4


def test_no_tokens() -> None:
    positions, following = rope_index(np.zeros(0, bool), [], start=7)

    assert positions.shape == (3, 0) and following == 7
