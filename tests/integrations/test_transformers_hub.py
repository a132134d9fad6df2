"""Hugging Face's classes open packages by their names on the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

import vlmforge.integrations.transformers
from tests.hub.conftest import contents, hub
from tests.hub.standin import TOKEN, StandIn

__all__ = ["hub"]

NAME = "someone/tiny"


def answer(name: str | Path, **options: object) -> torch.Tensor:
    """The tokens with which a package goes on."""
    assert vlmforge.integrations.transformers
    processor = AutoProcessor.from_pretrained(name, **options)
    model = AutoModelForImageTextToText.from_pretrained(name, **options)
    inputs = processor(text=["A red circle"], return_tensors="pt")
    return model.generate(**inputs, max_new_tokens=4, do_sample=False)


def test_a_package_by_its_name(hub: StandIn, tiny_package: Path) -> None:
    hub.add(NAME, contents(tiny_package))
    assert torch.equal(answer(NAME), answer(tiny_package))


def test_its_processors_are_those_of_packages(hub: StandIn, tiny_package: Path) -> None:
    hub.add(NAME, contents(tiny_package))
    processor = AutoProcessor.from_pretrained(NAME)
    own = vlmforge.integrations.transformers
    assert type(processor) is own.MobilintQwen2VLProcessor
    assert type(processor.image_processor) is own.MobilintQwen2VLImageProcessor


def test_a_revision_and_a_token(
    hub: StandIn, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    repository = hub.add(NAME, contents(tiny_package), private=True)
    repository.branches["v1"] = repository.branches["main"]
    repository.commit("main", {"README.md": b"moved"}, "second")
    found = answer(NAME, revision="v1", token=TOKEN)
    assert torch.equal(found, answer(tiny_package))
