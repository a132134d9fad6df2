"""Settings that ask for other sizes than are stored are refused at once, however absurd."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vlmforge.errors import SourceError
from vlmforge.source.checkpoint import Checkpoint

AT_ONCE = 5.0
"""Seconds that a refusal may take."""


def refusal(model: Path, copy: Path, changes: Mapping[str, Any]) -> SourceError:
    """What is said of a checkpoint with other settings, in good time."""
    shutil.copytree(model, copy)
    file = copy / "config.json"
    settings = json.loads(file.read_text())
    vision = settings.get("vision_config", {}) | changes.get("vision_config", {})
    settings |= {**changes, "vision_config": vision} if vision else changes
    file.write_text(json.dumps(settings))
    start = time.monotonic()
    with pytest.raises(SourceError) as told:
        Checkpoint.open(str(copy))
    assert time.monotonic() - start < AT_ONCE
    assert Path(str(told.value.where)) == file
    return told.value


@pytest.mark.parametrize("value", [97, 2**40])
@pytest.mark.parametrize(
    ("key", "stored"),
    [("num_hidden_layers", 3), ("intermediate_size", 160), ("vocab_size", 320)],
)
def test_a_decoder(
    tiny_checkpoint: Path, tiny_decoder: Path, tmp_path: Path, key: str, stored: int, value: int
) -> None:
    for model in (tiny_checkpoint, tiny_decoder):
        error = refusal(model, tmp_path / model.name, {key: value})
        assert error.what.startswith(f"{key} ") and str(value) in error.what
        assert error.mend is not None and f"set {key} to {stored}" in error.mend


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("depth", 2**40, "set vision_config.depth to 2"),
        ("embed_dim", 128, "set vision_config.embed_dim to 64"),
        ("hidden_size", 97, "set vision_config.hidden_size to 96"),
        ("patch_size", 2**40, "set vision_config.patch_size to 14"),
        ("temporal_patch_size", 3, "set vision_config.temporal_patch_size to 2"),
        ("mlp_ratio", 2**40, "belongs to the weights"),
        ("spatial_merge_size", 2**40, "belongs to the weights"),
        ("num_heads", 0, "vision_config.num_heads"),
        ("num_heads", 3, "vision_config.num_heads"),
        ("num_heads", 64, "vision_config.num_heads"),
    ],
)
def test_an_encoder(
    tiny_checkpoint: Path, tmp_path: Path, key: str, value: int, stored: str
) -> None:
    error = refusal(tiny_checkpoint, tmp_path / "copy", {"vision_config": {key: value}})
    assert error.mend is not None and stored in error.mend


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 0},
        {"num_attention_heads": 3},
        {"num_attention_heads": 96},
        {"num_key_value_heads": 0},
        {"num_key_value_heads": 3},
        {"num_key_value_heads": 4},
        {"hidden_size": 2**40},
        {"hidden_size": -96},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
    ],
)
def test_numbers_that_fit_nothing(
    tiny_checkpoint: Path, tiny_decoder: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    for model in (tiny_checkpoint, tiny_decoder):
        refusal(model, tmp_path / model.name, changes)


def test_a_nested_setting_is_named_where_it_stands(tiny_checkpoint: Path, tmp_path: Path) -> None:
    text = Checkpoint.open(str(tiny_checkpoint)).settings.text_config.to_dict()
    error = refusal(
        tiny_checkpoint, tmp_path / "copy", {"text_config": {**text, "intermediate_size": 161}}
    )
    assert error.what.startswith("text_config.intermediate_size asks for 161")


def test_layers_more_than_asked_for_are_left_out(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    settings = json.loads((copy / "config.json").read_text()) | {"num_hidden_layers": 2}
    (copy / "config.json").write_text(json.dumps(settings))
    assert Checkpoint.open(str(copy)).settings.text_config.num_hidden_layers == 2
