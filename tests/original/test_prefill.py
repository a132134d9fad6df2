"""Prompts that are read together are of about the same length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vlmforge.original.prefill import PADDED, alike


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20))
def test_every_prompt_is_in_one_group_and_little_is_padding(lengths: list[int]) -> None:
    groups = list(alike(lengths))
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        taken = [lengths[place] for place in group]
        assert max(taken) * len(taken) <= PADDED * sum(taken)
    longest = [max(lengths[place] for place in group) for group in groups]
    assert longest == sorted(longest)


def test_prompts_of_one_length_are_read_at_once() -> None:
    assert list(alike([7] * 16)) == [list(range(16))]
