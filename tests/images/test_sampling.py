"""The frames of a video that are looked at are Hugging Face's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.images.original import original_sampling
from vlmforge.errors import VideoError
from vlmforge.images.sampling import FrameSampling

SETTINGS = {"min_frames": 4, "max_frames": 768}


@settings(max_examples=500)
@given(
    st.one_of(st.integers(2, 60), st.integers(2, 20000)),
    st.floats(0.5, 240),
    st.one_of(
        st.fixed_dictionaries({"fps": st.floats(0.01, 60)}),
        st.fixed_dictionaries({"num_frames": st.integers(1, 800)}),
    ),
    st.integers(1, 20),
    st.integers(2, 800),
)
def test_equals_hugging_face(
    total: int, rate: float, wanted: dict[str, Any], least: int, most: int
) -> None:
    bounds = {"min_frames": least, "max_frames": most}
    sampling = FrameSampling(**{**bounds, **wanted})
    try:
        expected = original_sampling(total, rate, bounds, **wanted)
    except ValueError:
        with pytest.raises(VideoError, match=f"has {total} frames"):
            sampling.indexes(total, rate)
        return
    except ZeroDivisionError:
        assume(False)

    found = sampling.indexes(total, rate)

    # It counts in floating point, and sometimes gives one frame behind the last.
    assert found.tolist() == [index for index in expected if index < total]


@pytest.mark.parametrize(("total", "count"), [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (9, 4)])
def test_short_videos_give_what_they_have(total: int, count: int) -> None:
    found = FrameSampling().indexes(total, 30.0)

    assert found.tolist() == (np.arange(count) * total // count).tolist()


def test_a_number_of_frames_counts_before_a_rate() -> None:
    assert len(FrameSampling(num_frames=6).indexes(100, None)) == 6
    assert FrameSampling(num_frames=1).indexes(100, None).tolist() == [0, 50]


def test_more_frames_than_there_are() -> None:
    with pytest.raises(VideoError, match="has 5 frames, 8 are asked for"):
        FrameSampling(num_frames=8).indexes(5, 1.0)


def test_a_rate_nobody_knows() -> None:
    with pytest.raises(VideoError, match="frame rate"):
        FrameSampling().indexes(5, None)
