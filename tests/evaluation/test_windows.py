"""Windows: which tokens of a text count, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_tokenizer
from vlmforge.errors import FormatError, RunError
from vlmforge.evaluation.windows import Window, Windowing, read_texts


def predicted(window: Window) -> list[int]:
    """The tokens that count (the texts here hold their own indexes)."""
    return window.token_ids[window.first + 1 :].tolist()


@given(st.integers(2, 90), st.integers(2, 40), st.integers(1, 40), st.integers(1, 39))
def test_each_token_counts_once_with_enough_before_it(
    length: int, context: int, stride: int, least: int
) -> None:
    stride, least = min(stride, context), min(least, context - 1)
    windowing = Windowing(context, stride, least)
    if length <= least:
        with pytest.raises(RunError, match="too short"):
            windowing.cut([np.arange(length)])
        return
    windows = windowing.cut([np.arange(length)])
    tokens = [token for window in windows for token in predicted(window)]
    assert tokens == sorted(set(tokens))
    for window in windows:
        assert window.counted == len(predicted(window)) > 0
        assert len(window.token_ids) <= context
        assert window.first + 1 >= least
    if stride <= context - least:
        assert tokens == list(range(least, length))


def test_windows_side_by_side_never_predict_their_first_token() -> None:
    windows = Windowing(4).cut([np.arange(9)])
    assert [predicted(window) for window in windows] == [[1, 2, 3], [5, 6, 7]]


def test_texts_are_cut_on_their_own_and_in_order() -> None:
    windows = Windowing(4, max_tokens=7).cut([np.arange(5), np.arange(10, 20)])
    assert [window.token_ids.tolist() for window in windows] == [[0, 1, 2, 3], [10, 11]]


@pytest.mark.parametrize(
    "options", [{"context": 1}, {"stride": 0}, {"stride": 600}, {"min_context": 512}]
)
def test_impossible_windows_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(RunError, match="choose"):
        Windowing(**options)


def test_a_text_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for name, what in (("binary", "not UTF-8: byte 0"), ("missing", "no such file")):
        with pytest.raises(FormatError, match=f"(?i){what}"):
            read_texts(make_tokenizer(), [tmp_path / name])
