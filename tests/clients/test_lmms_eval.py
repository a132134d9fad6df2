"""lmms-eval gets from the server the answers that the engine gives without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.shown import is_installed, samples
from tests.dialogues import user
from vlmforge import Engine, Options
from vlmforge.sample import questions

pytestmark = pytest.mark.skipif(
    not is_installed("lmms-eval"), reason="make evaluation-tools installs it"
)


def asked(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A question as a conversation."""
    names = row.get("images") or [row["image"]]
    shown = [{"type": "image", "image": questions().parent / name} for name in names]
    return [user(*shown, row["question"])]


def test_answers_about_images(engine: Engine, address: str, tmp_path: Path) -> None:
    found = samples("lmms-eval", "scenes", address, tmp_path)

    rows = [json.loads(line) for line in questions().read_text("utf-8").splitlines()]
    answers = list(engine.map(map(asked, rows), Options(max_new_tokens=40)))
    assert [each["filtered_resps"] for each in found] == [answer.text for answer in answers]
    counted = [each["token_counts"][0]["output_tokens"] for each in found]
    assert counted == [len(answer.token_ids) for answer in answers]
