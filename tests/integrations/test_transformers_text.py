"""Packages of plain decoders behind Hugging Face's classes for texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    TextIteratorStreamer,
    pipeline,
)

from tests.families.models import settings_of
from tests.packages import write_decoder_package
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.families.family import Family
from vlmforge.families.registry import families
from vlmforge.integrations.transformers import MobilintQwen2Config, MobilintQwen2ForCausalLM
from vlmforge.run.conversation import Conversation

GREEDY = {"do_sample": False, "max_new_tokens": 8}
TALKS = [
    [{"role": "user", "content": "What?"}],
    [{"role": "user", "content": "How many shapes are there? How many shapes are there? How"}],
    [{"role": "system", "content": "Ünïcödé"}, {"role": "user", "content": "A star."}],
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, tiny_decoder: Path) -> Path:
    return write_decoder_package(tmp_path_factory.mktemp("packages") / "decoder", tiny_decoder)


@pytest.fixture(scope="module")
def decoder(package: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(package)


@pytest.fixture(scope="module")
def tokenizer(package: Path) -> Any:
    return AutoTokenizer.from_pretrained(package)


def encode(tokenizer: Any, *talks: Any, side: str = "left") -> Any:
    return tokenizer.apply_chat_template(
        list(talks), tokenize=True, add_generation_prompt=True, return_dict=True,
        return_tensors="pt", padding=True, tokenizer_kwargs={"padding_side": side},
    )  # fmt: skip


def expected(decoder: Any, messages: Any) -> list[int]:
    conversation = Conversation(decoder.session)
    return list(conversation.generate(messages, Options(max_new_tokens=8)).token_ids)


def test_the_auto_classes_know_it(package: Path, decoder: Any) -> None:
    assert type(decoder) is MobilintQwen2ForCausalLM
    assert type(AutoConfig.from_pretrained(package)) is MobilintQwen2Config
    assert decoder.config.mxq_path == "tiny_text_model.mxq"


@pytest.mark.parametrize("messages", TALKS)
@pytest.mark.parametrize("options", [{}, {"prompt_lookup_num_tokens": 4}, {"use_cache": False}])
def test_generate_equals_the_session(
    decoder: Any, tokenizer: Any, messages: Any, options: dict[str, Any]
) -> None:
    inputs = encode(tokenizer, messages)

    output = decoder.generate(**inputs, **GREEDY, **options)

    found = output[0, inputs["input_ids"].shape[1] :].tolist()
    assert found == expected(decoder, messages)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_equals_its_rows(decoder: Any, tokenizer: Any, side: str) -> None:
    inputs = encode(tokenizer, *TALKS, side=side)
    assert inputs["attention_mask"][0, 0 if side == "left" else -1] == 0

    output = decoder.generate(**inputs, **GREEDY)

    for row, messages in zip(output, TALKS, strict=True):
        assert row[inputs["input_ids"].shape[1] :].tolist() == expected(decoder, messages)


def test_pipeline(package: Path, decoder: Any, tokenizer: Any) -> None:
    ask = pipeline("text-generation", model=str(package))

    answers = ask(TALKS[0], **GREEDY, return_full_text=False)

    text = tokenizer.decode(expected(decoder, TALKS[0]), skip_special_tokens=True)
    assert answers[0]["generated_text"] == text


PLAIN = {name: family for name, family in families().items() if family.tower is None}


@pytest.mark.parametrize("family", PLAIN.values(), ids=PLAIN)
def test_packages_of_every_plain_decoder(
    family: Family, tiny_decoder: Path, tmp_path: Path
) -> None:
    checkpoint = Path(shutil.copytree(tiny_decoder, tmp_path / "checkpoint"))
    (checkpoint / "config.json").write_text(json.dumps(settings_of(family)), "utf-8")
    package = write_decoder_package(tmp_path / "package", checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(package)
    model: Any = AutoModelForCausalLM.from_pretrained(package)
    assert type(model).__name__ == family.package_architecture
    assert AutoConfig.from_pretrained(package).model_type == family.package_type
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=60)

    inputs = encode(tokenizer, TALKS[1])
    output = model.generate(**inputs, **GREEDY, streamer=streamer)
    ask = pipeline("text-generation", model=str(package))
    answer = ask(TALKS[1], **GREEDY, return_full_text=False)[0]["generated_text"]

    tokens = output[0, inputs["input_ids"].shape[1] :].tolist()
    assert tokens == expected(model, TALKS[1])
    assert "".join(streamer) == tokenizer.decode(tokens)
    assert answer == tokenizer.decode(tokens, skip_special_tokens=True)


def test_images_are_refused(decoder: Any, tokenizer: Any) -> None:
    inputs = encode(tokenizer, TALKS[0])
    with pytest.raises(RunError, match="no vision program"):
        decoder(**inputs, pixel_values=torch.zeros(1), image_grid_thw=torch.zeros(1, 3))
