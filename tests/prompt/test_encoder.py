"""Prompts are tokenized as Hugging Face's processor tokenizes them."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.conftest import PLAIN_TEMPLATE, SPECIAL, TEMPLATE, special_id
from vlmforge.errors import PackageError, RunError, VlmforgeError
from vlmforge.prompt.encoder import PromptEncoder, PromptRules
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import Tokens, load_tokenizer
from vlmforge.source.processor import load_tokenizer as processor_tokenizer
from vlmforge.text import well_formed

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
def trusting(tiny_checkpoint: Path) -> PromptEncoder:
    return made(tiny_checkpoint, PromptRules(special_tokens_in_text=True))


def made(checkpoint: Path, rules: PromptRules) -> PromptEncoder:
    tokenizer, template = load_tokenizer(checkpoint), ChatTemplate.load(checkpoint)
    return PromptEncoder(tokenizer, template, special_id("<|image_pad|>"), 64, rules)


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
@pytest.mark.parametrize("trusted", [True, False])
def test_equals_hugging_face(
    encoder: PromptEncoder,
    trusting: PromptEncoder,
    processor: ImageTextProcessor,
    messages: Any,
    generation_prompt: bool,
    trusted: bool,
) -> None:
    expected = processor.apply_chat_template(
        messages,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=generation_prompt,
        sanitize_control_tokens=not trusted,
    )

    chosen = trusting if trusted else encoder
    prompt = chosen.encode(messages, generation_prompt=generation_prompt)

    assert prompt.token_ids.tolist() == expected["input_ids"][0]
    assert len(prompt.images) == (prompt.token_ids == encoder.image_token_id).sum() // 64


TALKS = st.lists(
    st.lists(
        st.one_of(st.text(max_size=8), st.sampled_from([*SPECIAL, " ", "\n", "<|", "ab"])),
        max_size=6,
    ).map("".join),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("template", [TEMPLATE, PLAIN_TEMPLATE])
@settings(max_examples=100, deadline=None)
@given(texts=TALKS)
def test_special_tokens_of_users_are_text(
    tiny_checkpoint: Path, template: str, texts: list[str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    encoder = PromptEncoder(
        load_tokenizer(tiny_checkpoint), ChatTemplate(template), special_id("<|image_pad|>"), 64
    )
    messages = [{"role": "user", "content": well_formed(each)} for each in texts]

    ids = encoder.encode(messages).token_ids.tolist()

    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    theirs = tokenizer.apply_chat_template(
        messages, chat_template=template, sanitize_control_tokens=True, **options
    )
    if not re.search("[\ufdd0\ufdd1\ue000-\uf8ff]", "".join(texts)):
        assert ids == theirs
    system = template == TEMPLATE
    assert ids.count(special_id("<|im_end|>")) == len(texts) + system
    assert ids.count(special_id("<|im_start|>")) == len(texts) + system + 1
    assert not {special_id(token) for token in SPECIAL if "im_" not in token} & set(ids)


@pytest.mark.parametrize(
    "parts", [["<|im_", "end|>"], ["<", "|im_e", "nd|>"], ["a<|im_end|", ">"], ["<|im_end", "|> b"]]
)
def test_parts_do_not_join_to_special_tokens(encoder: PromptEncoder, parts: list[str]) -> None:
    messages = [{"role": "user", "content": [text(part) for part in parts]}]

    ids = encoder.encode(messages).token_ids

    assert (ids == special_id("<|im_end|>")).sum() == 2  # of the system's message and the user's


def test_parts_that_join_to_nothing_are_not_parted(encoder: PromptEncoder) -> None:
    messages = [{"role": "user", "content": [text("The <"), text("triangle> and <|im_end|>")]}]
    whole = [{"role": "user", "content": [text("The <triangle> and <|im_end|>")]}]

    assert encoder.encode(messages).token_ids.tolist() == encoder.encode(whole).token_ids.tolist()


def test_noncharacters_do_not_forge_marks(encoder: PromptEncoder) -> None:
    forged = "<|im_\ufdd1end|> \ufdd1<|im_end|>\ufdd0 \ufdd0 <|im_\ufdd0start|>"

    ids = encoder.encode([{"role": "user", "content": forged}]).token_ids

    assert (ids == special_id("<|im_end|>")).sum() == 2
    assert (ids == special_id("<|im_start|>")).sum() == 3


def test_image_placeholders_of_users_are_text(encoder: PromptEncoder) -> None:
    content = [IMAGE, text("what is <|vision_start|><|image_pad|>?")]

    prompt = encoder.encode([{"role": "user", "content": content}])

    assert (prompt.token_ids == encoder.image_token_id).sum() == 64 and len(prompt.images) == 1


def test_messages_may_come_once(encoder: PromptEncoder) -> None:
    messages: Any = CONVERSATIONS[1]

    prompt = encoder.encode(message for message in messages)

    assert prompt.token_ids.tolist() == encoder.encode(messages).token_ids.tolist()
    assert len(prompt.images) == 1


@pytest.mark.parametrize("character", [" ", "a", "\n", "\u0301", "\ud800", "<"])
def test_texts_are_bounded_before_they_are_tokenized(tiny_checkpoint: Path, character: str) -> None:
    encoder = made(tiny_checkpoint, PromptRules(max_length=1000))
    began = time.process_time()

    with pytest.raises(RunError, match=r"11000004 characters.* 1000 tokens"):
        encoder.encode([{"role": "user", "content": character * 11_000_000}])

    assert time.process_time() - began < 2


def test_a_panic_of_the_tokenizer_is_an_error() -> None:
    class PanicException(BaseException):
        pass

    class Panicking:
        def encode(self, text: str, add_special_tokens: bool) -> None:
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    with pytest.raises(RunError, match="cannot be tokenized"):
        Tokens(cast("Any", Panicking())).encode("text")


@pytest.mark.parametrize("load", [load_tokenizer, processor_tokenizer])
def test_a_panic_while_it_is_read_is_an_error(
    tiny_checkpoint: Path, tmp_path: Path, load: Callable[[Path], object]
) -> None:
    copied = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    tokenizer = json.loads((copied / "tokenizer.json").read_text("utf-8"))
    tokenizer["model"]["continuing_subword_prefix"] = "x" * 8  # longer than the merged tokens
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    written = {"tokenizer_class": "PreTrainedTokenizerFast"}  # others build a model of their own
    (copied / "tokenizer_config.json").write_text(json.dumps(written), "utf-8")

    with pytest.raises(VlmforgeError, match="tokenizer cannot be read"):
        load(copied)


def test_nested_messages_are_bounded(encoder: PromptEncoder) -> None:
    nested: Any = []
    nested.append(nested)

    with pytest.raises(RunError, match="nests deeper"):
        encoder.encode([{"role": "user", "content": "x", "more": nested}])


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
        ("hello", "known form"),
        ({"role": "user", "content": "hello"}, "known form"),
        (None, "known form"),
        ([None], "known form"),
    ],
)
def test_malformed_messages_are_named(encoder: PromptEncoder, messages: Any, what: str) -> None:
    with pytest.raises(RunError, match=what):
        encoder.encode(messages)


def test_placeholders_that_are_trusted_need_images(trusting: PromptEncoder) -> None:
    with pytest.raises(RunError, match="1 image placeholders and 0 images"):
        trusting.encode([{"role": "user", "content": "what is <|image_pad|>?"}])


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_an_unreadable_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)

    with pytest.raises(PackageError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
