"""What can be known before the work stops a compilation before it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlmforge.config import CompileConfig
from vlmforge.errors import CalibrationError, ConfigError, VlmforgeError
from vlmforge.images.layout import DYNAMIC
from vlmforge.pipeline import compile_model
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.calibration import TextCalibration
from vlmforge.stages.preflight import require_consistent
from vlmforge.stages.workspace import Workspace


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "Copy-VL"))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def sick_weight(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["visual.blocks.1.attn.qkv.weight"][7, 3] = torch.nan
    save_file(weights, model / "model.safetensors")


def no_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def no_processor(model: Path) -> None:
    (model / "preprocessor_config.json").unlink()


def no_template(model: Path) -> None:
    edit(model / "tokenizer_config.json", chat_template="")


def windowed_attention(model: Path) -> None:
    edit(model / "config.json", use_sliding_window=True, max_window_layers=1)


@pytest.mark.parametrize(
    "damage", [sick_weight, no_tokenizer, no_processor, no_template, windowed_attention]
)
def test_a_model_that_cannot_be_compiled_costs_no_work(
    copy: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy)
    with pytest.raises(VlmforgeError):
        compile_model(str(copy), tmp_path / "out", images="synthetic")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"images": "synthetic", "num_samples": 0},
        {"images": "synthetic", "max_new_tokens": 0},
        {"images": Path("/nowhere/at/all")},
        {"images": "synthetic", "text": TextCalibration([])},
        {"images": "synthetic", "answers": "/nowhere/answers.jsonl"},
        {"answers": "none", "text": TextCalibration([])},
        {"answers": "/nowhere/answers.jsonl"},
        {},
    ],
)
def test_nothing_to_calibrate_with_costs_no_work(
    tiny_checkpoint: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(CalibrationError):
        compile_model(str(tiny_checkpoint), tmp_path / "out", **options)
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"bit": {"layerOverrides": {"activation16Bits": ["lm_haed"]}}}, "'lm_head', of language"),
        (
            {"bit": {"layerOverrides": {"weight8Bits": ["model_blocks_0_mlp_fc3"]}}},
            "'model_blocks_0_mlp_fc[12]', of vision",
        ),
        ({"equivalentTransformation": {"HeadOutChRotation": {"apply": False}}}, "both or neither"),
        (
            {"equivalentTransformation": {"HeadOutChRotation": {"matrixPath": "/other.pth"}}},
            "another rotation",
        ),
        (
            {
                "equivalentTransformation": {
                    "SpinR1": {"apply": False},
                    "HeadOutChRotation": {"matrixPath": "/other.pth"},
                }
            },
            "SpinR1 does not apply",
        ),
        (
            {"llm": {"apply": True, "attributes": {"maxCacheLength": 16385}}},
            "maxCacheLength is 16385, the decoder allows 16384",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, document: dict[str, Any], named: str
) -> None:
    space = Workspace(tmp_path, "Tiny-VL")
    with pytest.raises(ConfigError, match=named):
        require_consistent(
            Checkpoint.open(str(tiny_checkpoint)), space, CompileConfig.parse(document), DYNAMIC
        )
