"""A package that another device has compiled answers as the one that the CPU has compiled.

A tiny model on the CPU here. ``make gpu`` adds learning, a device that is pretended, and, where
there is a GPU, that one, with the bundled sample.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.gpu.pretended import NAME, pretend
from vlmforge.config import CompileConfig
from vlmforge.evaluation.questions import evaluate, read_questions
from vlmforge.formats.container import Container
from vlmforge.formats.mxq import read_mxq
from vlmforge.images.layout import DYNAMIC
from vlmforge.original import reference
from vlmforge.original.reference import ReferenceModel
from vlmforge.pipeline import compile_model
from vlmforge.run.session import Session
from vlmforge.sample import checkpoint as sample_checkpoint
from vlmforge.source.checkpoint import Checkpoint

GPU = torch.cuda.is_available()
WHOLE = os.environ.get("GPU_TESTS") == "whole"

NO_GPU = pytest.mark.skipif(not GPU, reason="no CUDA device")
NO_TIME = pytest.mark.skipif(not WHOLE, reason="tried by `make gpu`")
OTHERS = [
    pytest.param(NAME, marks=NO_TIME),
    pytest.param("gpu", marks=[pytest.mark.gpu, NO_GPU]),
]

CODES = 0.05
"""Most codes of weights that may be others, of all."""

DIVERGENCE = 1.25
"""Most KL divergence from the original, as a multiple of that of the package of the CPU."""

QUESTIONS = Path("src/vlmforge/sample/demo/questions.jsonl")

LEARNED = {
    "bit": {"transformer": {"weight": {"ffn": 4}, "weightGroup": 32}},
    "learnRounding": {"apply": True, "steps": 1},
    "learnWeightScale": {"apply": True, "steps": 1},
    "equivalentTransformation": {"SpinR1": {"learn": True}, "SpinR2": {"learn": True}},
}
"""All that is learned by gradient descent."""


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Path:
    return Path(sample_checkpoint()) if WHOLE and GPU else tiny_checkpoint


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What ``--device`` is given for a device; the pretended one is there as a GPU."""

    def given(device: str) -> str:
        if device != NAME:
            return device
        monkeypatch.setattr(reference, "GPU", pretend().type)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        memory = SimpleNamespace(total_memory=1 << 40)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: memory)
        return "gpu"

    return given


def compiled(model: Path, out: Path, device: str) -> Path:
    few = {"num_samples": 16, "max_new_tokens": 32} if WHOLE and GPU else {"num_samples": 2}
    asked: dict[str, Any] = {"max_new_tokens": 4, **few, "dtype": "float32", "device": device}
    compile_model(model, out, images="synthetic", **asked)
    return out


@pytest.fixture(scope="module")
def package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the CPU compiles."""
    return compiled(model, tmp_path_factory.mktemp("cpu") / "package", "cpu")


def programs(package: Path) -> dict[str, Container]:
    return {path.name: Container.open(path, "mxq") for path in sorted(package.glob("*.mxq"))}


def differing(one: Path, other: Path) -> float:
    """The share of codes of weights, int8, that are not the same."""
    count = different = 0
    others = programs(other)
    for name, program in programs(one).items():
        for tensor, array in program.arrays.items():
            if array.dtype == np.int8:
                count += array.size
                different += int((array != others[name].arrays[tensor]).sum())
    return different / count


def divergence(package: Path, model: Path) -> float:
    """Mean KL divergence from the original, in nats a token of its answers to ten questions."""
    original = ReferenceModel.load(Checkpoint.open(str(model)), layout=DYNAMIC)
    found = evaluate(
        Session.open(package), read_questions(QUESTIONS), max_new_tokens=8, reference=original
    )
    return float(found["kl"])


@pytest.mark.parametrize("device", ["cpu", *OTHERS])
def test_a_device_compiles_the_same_package_but_for_few_codes(
    model: Path, package: Path, tmp_path: Path, device: str, named: Any
) -> None:
    found = compiled(model, tmp_path / "package", named(device))
    if device == "cpu":
        for path in package.iterdir():
            assert path.read_bytes() == (found / path.name).read_bytes(), path.name
        return
    for path in found.glob("*.mxq"):
        meta = read_mxq(path).meta
        assert meta["sums"] == "library" and meta["device"] != "cpu"
    share, bound = differing(package, found), divergence(package, model)
    print("codes", share, "divergence", divergence(found, model), "of", bound)
    assert 0 < share <= CODES
    assert divergence(found, model) <= DIVERGENCE * bound


@NO_TIME
@pytest.mark.parametrize("device", OTHERS)
def test_what_is_learned_and_drafted_is_on_one_device(
    tiny_checkpoint: Path, tmp_path: Path, device: str, named: Any
) -> None:
    asked: dict[str, Any] = {"num_samples": 2, "max_new_tokens": 4, "answers": "draft"}
    config = CompileConfig.parse(LEARNED)
    out, place = tmp_path / "package", named(device)
    compile_model(tiny_checkpoint, out, images="synthetic", config=config, device=place, **asked)
    assert all(read_mxq(path).meta["sums"] == "library" for path in out.glob("*.mxq"))
