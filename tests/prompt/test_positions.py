"""Positions equal those of Hugging Face's model, for images and videos anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

from vlmforge.errors import RunError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import FixedSize
from vlmforge.images.preprocess import ImagePreprocessor
from vlmforge.images.sampling import FrameSampling
from vlmforge.images.video_preprocess import VideoPreprocessor
from vlmforge.prompt.positions import MRope, OneAxis, position_after, positions_kind, positions_of
from vlmforge.prompt.spans import IMAGE, VIDEO, Span, within

MROPE = MRope()

IMAGES = ImagePreprocessor(FixedSize(PatchLayout(), 56, 56), Normalization.of(ProcessorSettings()))


class RopeOnly:
    """What ``get_rope_index`` reads of a model."""

    config = SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2))
    get_vision_position_ids = Qwen2VLModel.get_vision_position_ids
    get_rope_index = Qwen2VLModel.get_rope_index


class TimedRope:
    """The same of one whose positions tell the time."""

    get_vision_position_ids = Qwen2_5_VLModel.get_vision_position_ids
    get_rope_index = Qwen2_5_VLModel.get_rope_index

    def __init__(self, tokens_per_second: int) -> None:
        sizes = SimpleNamespace(spatial_merge_size=2, tokens_per_second=tokens_per_second)
        self.config = SimpleNamespace(vision_config=sizes)


def hugging_face(types: np.ndarray, shown: list[Grid]) -> tuple[np.ndarray, int]:
    """Positions int64 ``[3, seq]`` and the rope delta."""
    tokens = torch.from_numpy(types.astype(np.int64))[None]
    images, videos = (
        [grid.patches(2) for grid in shown if (grid.frames > 1) == is_video]
        for is_video in (False, True)
    )
    positions, delta = RopeOnly().get_rope_index(
        tokens,
        tokens.int(),
        torch.tensor(images) if images else None,
        torch.tensor(videos) if videos else None,
    )
    return positions[:, 0].numpy(), int(delta)


def sequence(texts: list[int], shown: list[Grid]) -> tuple[np.ndarray, tuple[Span, ...]]:
    """Types ``[seq]`` and spans of texts of these lengths with images and videos between them."""
    types, spans = [np.zeros(texts[0], np.int8)], []
    for grid, text in zip(shown, texts[1:], strict=True):
        spans.append(Span(sum(map(len, types)), -1 - len(spans), grid))
        kind = VIDEO if grid.frames > 1 else IMAGE
        types += [np.full(grid.tokens, kind, np.int8), np.zeros(text, np.int8)]
    return np.concatenate(types), tuple(spans)


SIDE = st.integers(1, 9)
FRAMES = st.one_of(st.just(1), st.integers(2, 12))
SHOWN = st.lists(st.builds(Grid, FRAMES, SIDE, SIDE, st.just(1.0)), max_size=5)


@settings(max_examples=500)
@given(st.data(), SHOWN)
def test_equals_hugging_face(data: st.DataObject, shown: list[Grid]) -> None:
    texts = data.draw(st.lists(st.integers(1, 9), min_size=len(shown) + 1, max_size=len(shown) + 1))
    types, spans = sequence(texts, shown)
    expected, delta = hugging_face(types, shown)

    positions = positions_of(MROPE, types.size, spans)

    np.testing.assert_array_equal(positions, expected)
    after = position_after(MROPE, types.size, spans)
    assert after == positions[0, -1] + 1
    if after > positions.max():
        assert after - types.size == delta


@settings(max_examples=500)
@given(st.integers(0, 30), st.lists(st.floats(1 / 64, 40), min_size=5, max_size=5), SHOWN)
def test_time_equals_hugging_face(
    tokens_per_second: int, seconds: list[float], shown: list[Grid]
) -> None:
    preprocess = VideoPreprocessor(IMAGES, FrameSampling(), tokens_per_second=tokens_per_second)
    videos = [grid for grid in shown if grid.frames > 1]
    types, _ = sequence([2] * (len(shown) + 1), shown)
    tokens = torch.from_numpy(types.astype(np.int64))[None]
    images = torch.tensor([grid.patches(2) for grid in shown if grid.frames == 1])
    expected, _ = TimedRope(tokens_per_second).get_rope_index(
        tokens,
        tokens.int(),
        images if len(images) else None,
        torch.tensor([grid.patches(2) for grid in videos]) if videos else None,
        torch.tensor(seconds[: len(videos)]),
    )
    following = iter(seconds)
    paced = [
        grid._replace(pace=preprocess.pace(next(following))) if grid.frames > 1 else grid
        for grid in shown
    ]
    types, spans = sequence([2] * (len(shown) + 1), paced)

    positions = positions_of(MROPE, types.size, spans)

    np.testing.assert_array_equal(positions, expected[:, 0].numpy())
    assert position_after(MROPE, types.size, spans) == positions[0, -1] + 1


@given(st.data(), SHOWN)
def test_a_later_turn_goes_on_where_the_first_ended(data: st.DataObject, shown: list[Grid]) -> None:
    types, spans = sequence([3] * (len(shown) + 1), shown)
    cuts = [0, types.size, *(span.start for span in spans), *(span.stop for span in spans)]
    cut = data.draw(st.sampled_from(cuts))
    first, second = within(spans, 0, cut), within(spans, cut, types.size)

    start = position_after(MROPE, cut, first)
    parts = [
        positions_of(MROPE, cut, first),
        positions_of(MROPE, types.size - cut, second, start),
    ]

    np.testing.assert_array_equal(np.concatenate(parts, 1), positions_of(MROPE, types.size, spans))


def test_images_may_touch_and_come_first_or_last() -> None:
    spans = (Span(0, -1, Grid(1, 1, 2)), Span(2, -2, Grid(1, 2, 1)))

    positions = positions_of(MROPE, 4, spans)

    assert positions.tolist() == [[0, 0, 2, 2], [0, 0, 2, 3], [0, 1, 2, 2]]
    assert position_after(MROPE, 4, spans) == 4


def test_text_goes_on_behind_the_sides_of_a_long_video() -> None:
    spans = (Span(1, -1, Grid(7, 1, 2)),)

    positions = positions_of(MROPE, 16, spans)

    assert positions[:, 13:].tolist() == [[7, 7, 3], [1, 1, 3], [1, 2, 3]]


@given(st.integers(0, 9), SHOWN)
def test_on_one_axis_everything_counts(start: int, shown: list[Grid]) -> None:
    types, spans = sequence([2] * (len(shown) + 1), shown)

    positions = positions_of(OneAxis(), types.size, spans, start)

    np.testing.assert_array_equal(positions, np.tile(start + np.arange(types.size), (3, 1)))
    assert position_after(OneAxis(), types.size, spans) == types.size


def test_no_tokens() -> None:
    assert positions_of(MROPE, 0, (), start=7).shape == (3, 0)
    assert position_after(MROPE, 0, ()) == 0


def test_programs_name_their_kind() -> None:
    assert isinstance(positions_kind({}), MRope)
    assert isinstance(positions_kind({"positions": "axis"}), OneAxis)
    with pytest.raises(RunError, match="of the kind 'spiral'"):
        positions_kind({"positions": "spiral"})
