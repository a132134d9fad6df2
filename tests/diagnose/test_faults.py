"""A planted fault is found and ranked first, with the mend that fits it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.diagnose.conftest import Plant, with_tensor
from vlmforge.config import CompileConfig
from vlmforge.diagnose.cases import Wanted
from vlmforge.diagnose.report import diagnose_package
from vlmforge.diagnose.settings import missing
from vlmforge.errors import CalibrationError
from vlmforge.formats.package import open_package, write_embeddings
from vlmforge.images.layout import FIXED
from vlmforge.pipeline import compile_model
from vlmforge.program import layout
from vlmforge.program.core import Program
from vlmforge.transform.hadamard import random_rotation

Planter = Callable[[str, Plant], Path]

WANTED = Wanted(samples=2, max_new_tokens=6)


def first(package: Path, model: Path) -> dict[str, Any]:
    """The first culprit of a diagnosis."""
    culprit: dict[str, Any] = diagnose_package(package, str(model), WANTED)["culprits"][0]
    return culprit


def times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: array * np.float32(factor)


@pytest.mark.parametrize(
    ("component", "name"),
    [
        ("language", "model_layers_1_mlp_down_proj"),
        ("language", "model_layers_2_self_attn_v_proj"),
        ("vision", "model_blocks_1_mlp_fc1"),
    ],
)
def test_a_layer_whose_scale_is_eight_times_too_large(
    planted: Planter, tiny_checkpoint: Path, component: str, name: str
) -> None:
    package = planted(component, lambda p: with_tensor(p, f"{name}.multiplier", times(8)))

    culprit = first(package, tiny_checkpoint)

    assert (culprit["name"], culprit["component"]) == (name, component)
    assert culprit["kind"] == "fault"


def coarse(program: Program, name: str) -> Program:
    """The scale of a norm's output eight times too large, in the norm and in all its readers."""
    buffers, tensors = dict(program.buffers), dict(program.tensors)
    scale = buffers[name].scale
    assert scale is not None
    buffers[name] = replace(buffers[name], scale=scale * 8)
    steps = []
    for step in program.instructions:
        if step.name == name:
            step = replace(step, attrs={**step.attrs, "multiplier": step.attrs["multiplier"] / 8})
        if name in step.inputs:
            multiplier, bias = f"{step.name}.multiplier", f"{step.name}.bias"
            tensors[multiplier] = tensors[multiplier] * np.float32(8)
            if bias in tensors:
                tensors[bias] = np.rint(tensors[bias] / 8).astype(tensors[bias].dtype)
        steps.append(step)
    return replace(program, buffers=buffers, tensors=tensors, instructions=tuple(steps))


def test_a_range_eight_times_too_wide(planted: Planter, tiny_checkpoint: Path) -> None:
    name = "model_layers_1_input_layernorm"

    culprit = first(planted("language", lambda p: coarse(p, name)), tiny_checkpoint)

    assert culprit["name"] == name
    assert culprit["kind"] == "range"
    assert "calibration" in culprit["setting"]


@pytest.mark.parametrize("name", ["model_layers_0_self_attn_o_proj", "lm_head"])
def test_a_zeroed_weight_row(planted: Planter, tiny_checkpoint: Path, name: str) -> None:
    row = 37

    def zero(program: Program) -> Program:
        step = next(s for s in program.instructions if s.name == name)
        sizes = step.attrs["out_features"], step.attrs["in_features"]

        def change(blocks: np.ndarray) -> np.ndarray:
            weight = np.array(layout.unpack(blocks, *sizes))
            weight[row] = 0
            return layout.pack(weight)

        return with_tensor(program, f"{name}.weight", change)

    culprit = first(planted("language", zero), tiny_checkpoint)

    assert culprit["name"] == name
    assert culprit["kind"] == "fault"
    assert culprit["channels"] == [row]
    assert f"channel {row}" in culprit["why"]


def test_a_wrong_rotation_in_the_embedding(
    compiled: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    package = tmp_path / "planted"
    shutil.copytree(compiled, package)
    opened = open_package(package)
    wrong = random_rotation(96, seed=1).numpy() @ random_rotation(96, seed=0).numpy().T
    rows = (np.array(opened.embeddings, np.float64) @ wrong).astype(np.float32)
    meta = opened.text.meta
    facts = {name: str(meta[name]) for name in ("rotation", "model_fingerprint")}
    (package / "model.safetensors").unlink()
    write_embeddings(package / "model.safetensors", [rows], rows.shape, facts)

    culprit = first(package, tiny_checkpoint)

    assert (culprit["name"], culprit["kind"]) == ("embed_tokens", "fault")
    assert "rotation" in culprit["mend"]


def test_changed_pixels(compiled: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    package = tmp_path / "planted"
    shutil.copytree(compiled, package)
    settings = package / "preprocessor_config.json"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("0.48145466", "0.98145466"), "utf-8")

    assert first(package, tiny_checkpoint)["name"] == "preprocess"


def test_a_sound_package_has_no_fault(compiled: Path, tiny_checkpoint: Path) -> None:
    report = diagnose_package(compiled, str(tiny_checkpoint), WANTED)

    assert {culprit["kind"] for culprit in report["culprits"]} <= {
        "rounding", "clipping", "weights", "range",
    }  # fmt: skip
    for culprit in report["culprits"]:
        assert missing(culprit["setting"], report["config"]) == culprit["setting"]
    assert any(culprit["mend"].endswith("no other setting helps") for culprit in report["culprits"])


EVERYTHING = {
    "bit": {"transformer": {"weight": {"ffn": 4}, "weightGroup": 32}},
    "equivalentTransformation": {
        name: {"apply": True} for name in ("QK", "VO", "UD", "SpinR2", "NormConv")
    },
}


def test_transformations_that_follow_from_samples(tiny_checkpoint: Path, tmp_path: Path) -> None:
    package, config = tmp_path / "package", CompileConfig.parse(EVERYTHING)
    compile_model(
        str(tiny_checkpoint),
        package,
        images="synthetic",
        num_samples=2,
        max_new_tokens=6,
        config=config,
        layout=FIXED,
    )

    culprits = diagnose_package(package, str(tiny_checkpoint), WANTED)["culprits"]

    assert "fault" not in {culprit["kind"] for culprit in culprits}
    coarse = next(culprit for culprit in culprits if culprit["kind"] == "weights")
    assert coarse["setting"] == {"bit": {"layerOverrides": {"weight8Bits": [coarse["name"]]}}}
    shutil.rmtree(tmp_path / "package.work")
    with pytest.raises(CalibrationError):
        diagnose_package(package, str(tiny_checkpoint), WANTED)
