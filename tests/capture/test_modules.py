"""Traceable building blocks."""

from __future__ import annotations

from vlmforge.capture.modules import ACTIVATIONS
from vlmforge.families.fields import HIDDEN_ACTS


def test_there_is_a_module_for_every_activation_that_settings_may_ask_for() -> None:
    assert set(ACTIVATIONS) == set(HIDDEN_ACTS)
