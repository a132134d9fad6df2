"""Prompts are tokenized as Hugging Face's processor tokenizes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.conftest import special_id
from vlmforge.errors import PackageError, RunError
from vlmforge.run.prompt import PromptEncoder, load_tokenizer
from vlmforge.run.template import ChatTemplate

IMAGE = {"type": "image", "image": Image.new("RGB", (224, 224))}


class ImageTextProcessor(Qwen2VLProcessor):
    """Without videos, which would need torchvision."""

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint: Path) -> PromptEncoder:
    tokenizer, template = load_tokenizer(tiny_checkpoint), ChatTemplate.load(tiny_checkpoint)
    return PromptEncoder(tokenizer, template, special_id("<|image_pad|>"), 64)


@pytest.fixture(scope="module")
def processor(tiny_checkpoint: Path) -> ImageTextProcessor:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    images = Qwen2VLImageProcessorPil.from_pretrained(tiny_checkpoint)
    return ImageTextProcessor(images, tokenizer, tokenizer.chat_template)


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


CONVERSATIONS = [
    [{"role": "user", "content": [text("How many shapes are there?")]}],
    [{"role": "user", "content": [IMAGE, text("Describe the image.")]}],
    [
        {"role": "system", "content": [text("Ünïcödé 日本語 🙂 \n\n  spaces")]},
        {"role": "user", "content": [text("one"), IMAGE, IMAGE, text("two")]},
        {"role": "assistant", "content": [text("A red circle.")]},
        {"role": "user", "content": [IMAGE, text("And <|im_start|> here?")]},
    ],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("generation_prompt", [True, False])
def test_equals_hugging_face(
    encoder: PromptEncoder, processor: ImageTextProcessor, messages: Any, generation_prompt: bool
) -> None:
    expected = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, add_generation_prompt=generation_prompt
    )

    prompt = encoder.encode(messages, generation_prompt=generation_prompt)

    assert prompt.token_ids.tolist() == expected["input_ids"][0]
    assert len(prompt.images) == (prompt.token_ids == encoder.image_token_id).sum() // 64


def test_images_are_named_by_any_key(encoder: PromptEncoder, tmp_path: Path) -> None:
    parts = [{"type": "image", key: tmp_path / key} for key in ("image", "path", "url")]

    assert encoder.encode([{"role": "user", "content": parts}]).images == tuple(
        tmp_path / key for key in ("image", "path", "url")
    )


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([{"role": "user"}], "known form"),
        ([{"role": "user", "content": 3}], "known form"),
        (["hello"], "known form"),
        ([{"role": "user", "content": ["hello"]}], "known form"),
        ([{"role": "user", "content": [{"type": "video", "video": "v.mp4"}]}], "known form"),
        ([{"role": "user", "content": [{"type": "image"}]}], "known form"),
        ([{"role": "user", "content": [{"type": "image", "url": "https://a/b.png"}]}], "remote"),
        ([{"role": "user", "content": "what is <|image_pad|>?"}], "1 image placeholders"),
    ],
)
def test_malformed_messages_are_named(encoder: PromptEncoder, messages: Any, what: str) -> None:
    with pytest.raises(RunError, match=what):
        encoder.encode(messages)


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_an_unreadable_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)

    with pytest.raises(PackageError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
