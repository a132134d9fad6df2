"""Of a setting only what a configuration does not have is named."""

from __future__ import annotations

from typing import Any

import pytest

from vlmforge.diagnose.settings import missing

CONFIG = {"SpinR1": {"apply": True, "learn": False}, "bits": {"wide": ["a"]}, "mode": 2}


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ({"SpinR1": {"apply": True}}, {}),
        ({"SpinR1": {"apply": True}, "SpinR2": {"apply": True}}, {"SpinR2": {"apply": True}}),
        ({"bits": {"wide": ["a"]}}, {}),
        ({"bits": {"wide": ["a", "b"]}}, {"bits": {"wide": ["b"]}}),
        ({"bits": {"narrow": ["a"]}}, {"bits": {"narrow": ["a"]}}),
        ({"mode": 1}, {"mode": 1}),
        ({}, {}),
    ],
)
def test_the_missing_part(setting: dict[str, Any], left: dict[str, Any]) -> None:
    assert missing(setting, CONFIG) == left
