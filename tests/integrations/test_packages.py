"""Processors of packages, whatever classes their files name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.auto.processing_auto import processor_class_from_name

import vlmforge.integrations.transformers as own
from tests.packages import HIDDEN, ORIGIN, VOCAB
from vlmforge.families.registry import families
from vlmforge.formats.package import EMBEDDING, open_package, write_embeddings
from vlmforge.integrations.transformers.packages import serve

STOCK = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
EARLIER = {kind: f"Mobilint{name}" for kind, name in STOCK.items()}
FAST = {**STOCK, "image_processor_type": "Qwen2VLImageProcessorFast"}


def edited(package: Path, target: Path, file: str, **changes: Any) -> Path:
    """A copy of a package with other settings in a file; None takes one out."""
    shutil.copytree(package, target)
    settings = {**json.loads((package / file).read_text("utf-8")), **changes}
    kept = {key: value for key, value in settings.items() if value is not None}
    (target / file).write_text(json.dumps(kept), encoding="utf-8")
    return target


@pytest.mark.parametrize("names", [STOCK, EARLIER, FAST, dict.fromkeys(STOCK)])
@pytest.mark.parametrize("layout", ["tiny_package", "dynamic_package"])
def test_processors_are_those_of_packages(
    request: pytest.FixtureRequest, tmp_path: Path, layout: str, names: dict[str, Any]
) -> None:
    package = request.getfixturevalue(layout)
    copy = edited(package, tmp_path / "copy", "preprocessor_config.json", **names)

    processor = AutoProcessor.from_pretrained(copy, trust_remote_code=False)
    images = AutoImageProcessor.from_pretrained(copy, backend="torchvision")

    assert type(processor) is own.MobilintQwen2VLProcessor
    assert type(processor.image_processor) is type(images) is own.MobilintQwen2VLImageProcessor
    assert images.layout == ("dynamic" if layout == "dynamic_package" else "fixed")


def test_a_processor_saved_by_transformers(dynamic_package: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dynamic_package, tmp_path / "copy"))
    AutoProcessor.from_pretrained(copy).save_pretrained(copy)
    assert (copy / "processor_config.json").is_file()

    again = AutoProcessor.from_pretrained(pretrained_model_name_or_path=copy)

    assert type(again) is own.MobilintQwen2VLProcessor
    assert again.image_processor.layout == "dynamic"


class Opener:
    """Stands for an Auto class, or for a class that one opens."""

    @classmethod
    def from_pretrained(cls, source: Any, *args: Any, **kwargs: Any) -> Any:
        return cls.__name__, source, args, kwargs


def test_all_else_stays_as_it_is(tiny_checkpoint: Path, tmp_path: Path) -> None:
    auto, images = type("Auto", (Opener,), {}), type("Images", (Opener,), {})
    serve(auto, "mobilint-some", images)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mobilint-some"}))
    chosen = {"config": 1, "backend": "pil", "use_fast": True, "trust_remote_code": False}

    opened = auto.from_pretrained(tmp_path, 1, **chosen, size=2)
    assert opened == ("Images", tmp_path, (1,), {"size": 2})
    for other in (tiny_checkpoint, "some/model", str(tmp_path / "missing")):
        assert auto.from_pretrained(other, 1, **chosen) == ("Auto", other, (1,), chosen)
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert auto.from_pretrained(tmp_path) == ("Auto", tmp_path, (), {})


def test_packages_name_classes_that_transformers_has() -> None:
    for family in families().values():
        if family.tower is not None:
            whole = processor_class_from_name(family.processor.classes["processor_class"])
            assert whole is family.processor.whole_class


def test_packages_of_earlier_versions(tiny_package: Path, tmp_path: Path, model: Any) -> None:
    """They named classes of their own, and the embedding as transformers 4 did."""
    copy = edited(tiny_package, tmp_path / "copy", "preprocessor_config.json", **EARLIER)
    (table,) = load_file(copy / "model.safetensors").values()
    assert table.shape == (VOCAB, HIDDEN)
    write_embeddings(copy / "model.safetensors", [table], table.shape, ORIGIN)

    assert list(load_file(copy / "model.safetensors")) == [EMBEDDING]
    assert open_package(copy).fingerprint == open_package(tiny_package).fingerprint
    opened = AutoModelForImageTextToText.from_pretrained(copy)
    inputs = AutoTokenizer.from_pretrained(copy)("What?", return_tensors="pt")
    assert opened(**inputs).logits.equal(model(**inputs).logits)
