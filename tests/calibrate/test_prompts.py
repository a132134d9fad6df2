"""Prompts take turns and are all different."""

from __future__ import annotations

from vlmforge.calibrate.prompts import PROMPTS, prompt_for


def test_twenty_different_kinds() -> None:
    assert len(PROMPTS) == 20
    assert len({kind.name for kind in PROMPTS}) == len({kind.text for kind in PROMPTS}) == 20


def test_names_can_name_files() -> None:
    assert all(kind.name.isidentifier() for kind in PROMPTS)


def test_prompts_take_turns() -> None:
    assert [prompt_for(index) for index in range(40)] == [*PROMPTS, *PROMPTS]
