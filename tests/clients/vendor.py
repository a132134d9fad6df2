"""A script for an NPU: ask a package questions with Mobilint's classes, and print the tokens.

    python vendor.py PACKAGE QUESTIONS.JSONL

Nothing in it knows of vlmforge.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import transformers_mblt
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

transformers_mblt.register()

from transformers_mblt.models.qwen2_vl.processing_qwen2_vl import (  # noqa: E402  once registered
    MobilintQwen2VLProcessor,
)

GREEDY = {"max_new_tokens": 40, "do_sample": False}


class StillProcessor(MobilintQwen2VLProcessor):  # type: ignore[misc]
    """The client's processor without the one of videos, which needs torchvision."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


def load(package: Path, **options: Any) -> tuple[Any, Any]:
    """The model, and its processor."""
    model = AutoModelForImageTextToText.from_pretrained(str(package), **options)
    tokenizer = AutoTokenizer.from_pretrained(package)
    images = Qwen2VLImageProcessorPil.from_pretrained(package)
    processor = StillProcessor(images, tokenizer, tokenizer.chat_template)
    processor.sync_dynamic_vision_from_model(model)
    return model, processor


def encode(processor: Any, *talks: list[dict[str, Any]]) -> Any:
    """The inputs of a batch of conversations."""
    return processor.apply_chat_template(
        list(talks), tokenize=True, add_generation_prompt=True, return_dict=True,
        return_tensors="pt", processor_kwargs={"padding": True, "padding_side": "left"},
    )  # fmt: skip


def asked(question: dict[str, Any], directory: Path) -> list[dict[str, Any]]:
    """A question as a conversation."""
    names = question.get("images") or [question["image"]]
    shown = [{"type": "image", "image": Image.open(directory / name)} for name in names]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": question["question"]}]}]


def main(package: Path, questions: Path) -> None:
    model, processor = load(package)
    for line in questions.read_text("utf-8").splitlines():
        inputs = encode(processor, asked(json.loads(line), questions.parent))
        output = model.generate(**inputs, **GREEDY)
        print(json.dumps(output[0, inputs["input_ids"].shape[1] :].tolist()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
