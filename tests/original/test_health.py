"""Sick weights are named, with their file, before any work is done on them."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlmforge.errors import SourceError
from vlmforge.original.health import require_healthy
from vlmforge.source.checkpoint import Checkpoint


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "Copy-VL"))


def store(directory: Path, **changes: torch.Tensor | None) -> None:
    """Replace, add or (None) remove weights."""
    weights = {**load_file(directory / "model.safetensors"), **changes}
    kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
    save_file(kept, directory / "model.safetensors", {"format": "pt"})


def stored(directory: Path, name: str) -> torch.Tensor:
    """A stored weight."""
    return load_file(directory / "model.safetensors")[name]


def look(directory: Path) -> None:
    """Open and judge a checkpoint."""
    require_healthy(Checkpoint.open(str(directory)))


def test_every_weight_is_looked_at(tiny_checkpoint: Path) -> None:
    told: list[tuple[int, int]] = []
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    require_healthy(checkpoint, lambda text, done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name",
    [
        "model.layers.2.mlp.down_proj.weight",
        "model.embed_tokens.weight",
        "model.layers.1.self_attn.q_proj.bias",
        "visual.blocks.1.mlp.fc2.weight",
        "visual.patch_embed.proj.weight",
    ],
)
def test_a_value_that_is_no_number_is_named(copy: Path, name: str, value: float) -> None:
    sick = stored(copy, name)
    sick.view(-1)[-5] = value
    store(copy, **{name: sick})
    part = name.removeprefix("model.")
    with pytest.raises(SourceError, match=f"{part}.*{value}.*\n.*model.safetensors"):
        look(copy)


@pytest.mark.parametrize("rows", [300, 340])
def test_a_vocabulary_of_another_size_is_named(copy: Path, rows: int) -> None:
    store(copy, **{"model.embed_tokens.weight": torch.zeros(rows, 96)})
    with pytest.raises(SourceError, match=f"vocab_size.*320.*embed_tokens.*{rows}(.|\n)*{rows}"):
        look(copy)


def test_a_weight_of_another_shape_is_named(copy: Path) -> None:
    store(copy, **{"visual.merger.ln_q.bias": torch.zeros(65)})
    with pytest.raises(SourceError, match=r"visual\.merger\.ln_q\.bias is \[65\].*\[64\]"):
        look(copy)


def test_a_missing_weight_is_named(copy: Path) -> None:
    store(copy, **{"model.layers.1.mlp.up_proj.weight": None})
    with pytest.raises(SourceError, match=r"no weight .*layers\.1\.mlp\.up_proj"):
        look(copy)


def test_a_layer_too_few_is_named(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "num_hidden_layers": 4}))
    with pytest.raises(SourceError, match="num_hidden_layers is 4, and weights of 3 layers"):
        look(copy)


def test_sections_that_nothing_says_have_to_fit(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    del settings["rope_scaling"]
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(SourceError, match=r"mrope_section is \[16, 24, 24\], as nothing is said"):
        look(copy)


@pytest.mark.parametrize("theta", [1e-320, -1.0, float("nan")])
def test_frequencies_that_are_no_numbers_are_refused(copy: Path, theta: float) -> None:
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**settings, "rope_theta": theta}))
    with pytest.raises(SourceError, match=r"RoPE(.|\n)*config\.json(.|\n)*rope_theta"):
        look(copy)


def test_quantized_weights_are_refused(copy: Path) -> None:
    store(copy, **{"model.norm.weight": torch.ones(96, dtype=torch.float8_e4m3fn)})
    with pytest.raises(SourceError, match="stored as F8_E4M3"):
        look(copy)


def test_unused_weights_are_named_but_buffers_are_not(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(copy, **{"model.rotary_emb.inv_freq": torch.ones(8), "position_ids": torch.arange(4)})
    with caplog.at_level(logging.WARNING):
        look(copy)
    assert "1 weights are not used, such as position_ids" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_other_dtypes_are_fine(copy: Path, dtype: torch.dtype) -> None:
    weights = load_file(copy / "model.safetensors")
    store(copy, **{name: tensor.to(dtype) for name, tensor in weights.items()})
    look(copy)
