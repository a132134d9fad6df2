"""A server's greedy tokens are those of Hugging Face's generate and of vlmforge chat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from transformers import AutoModelForImageTextToText, AutoProcessor

import vlmforge.integrations.transformers  # noqa: F401  registers the classes
from tests.serve.openai.conftest import picture, url_of
from tests.serve.openai.test_chat import ask
from vlmforge.text import shown as shown_as_text

TEXT = "What is there?"


@pytest.mark.parametrize("color", [None, "red"])
def test_tokens_are_the_same_everywhere(
    client: OpenAI, dynamic_package: Path, tmp_path: Path, color: str | None
) -> None:
    shown: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = [{"type": "text", "text": TEXT}]
    options: list[str] = []
    if color is not None:
        picture(color).save(tmp_path / "picture.png")
        shown = [{"type": "image", "image": picture(color)}]
        asked.insert(0, {"type": "image_url", "image_url": {"url": url_of(picture(color))}})
        options = ["--image", str(tmp_path / "picture.png")]
    messages = [{"role": "user", "content": [*shown, {"type": "text", "text": TEXT}]}]

    served = ask(
        client,
        [{"role": "user", "content": asked}],
        max_tokens=12,
        extra_body={"repetition_penalty": 1.0},
    ).choices[0].message.content  # fmt: skip

    assert served == generated(dynamic_package, messages, 12)
    assert shown_as_text(served).strip() == chatted(dynamic_package, 12, *options).strip()


def generated(package: Path, messages: Any, count: int) -> str:
    processor = AutoProcessor.from_pretrained(package)
    model = AutoModelForImageTextToText.from_pretrained(package)
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    tokens = model.generate(
        **inputs, do_sample=False, max_new_tokens=count, repetition_penalty=1.0, top_k=None,
        top_p=None, temperature=None,
    )  # fmt: skip
    found: str = processor.decode(
        tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return found


def chatted(package: Path, count: int, *options: str) -> str:
    command = [sys.executable, "-m", "vlmforge", "chat", str(package), "--prompt", TEXT]
    command += ["--max-new-tokens", str(count), *options]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stdout.decode(errors="replace")
