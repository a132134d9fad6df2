"""The page of models says what the families declare."""

from __future__ import annotations

import models_page
from vlmforge.families.registry import families


def test_the_page_is_that_of_the_families() -> None:
    assert models_page.PAGE.read_text("utf-8") == models_page.page(), (
        "run: python tools/models_page.py"
    )


def test_every_family_says_what_people_ask_for() -> None:
    for family in families().values():
        assert family.models and family.particular, family.architecture
