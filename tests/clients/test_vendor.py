"""Mobilint's client answers the demo's questions with the tokens of this project's own engine.

In an environment of its own, with the packages that ``make vendor-client`` compiles.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("transformers_mblt", reason="make vendor-client installs it")

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    TextIteratorStreamer,
    pipeline,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.utils import is_torchvision_available

import vlmforge
import vlmforge.integrations.qbruntime as emulation
from tests.dialogues import user
from tests.packages import write_decoder_package
from vlmforge import Conversation, Options, Session
from vlmforge.decode.reading import extend

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build"
QUESTIONS = Path(vlmforge.__file__).parent / "sample" / "demo" / "questions.jsonl"
ASKED = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def vendor() -> Iterator[ModuleType]:
    """The script, whose imports need the runtime."""
    emulation.install()
    from tests.clients import vendor

    yield vendor


@pytest.fixture(scope="module", params=["fixed", "dynamic"])
def package(request: pytest.FixtureRequest) -> Path:
    return BUILT / f"vendor-{request.param}"


@pytest.fixture(scope="module")
def client(vendor: ModuleType, package: Path) -> tuple[Any, Any]:
    """The model and the processor of the client."""
    loaded: tuple[Any, Any] = vendor.load(package)
    return loaded


@pytest.fixture(scope="module")
def session(package: Path) -> Session:
    return Session.open(package)


def expected(session: Session, talk: Any, tokens: int = 40) -> list[int]:
    answer = Conversation(session).generate(talk, Options(max_new_tokens=tokens))
    return list(answer.token_ids)


def answered(inputs: Any, output: torch.Tensor) -> list[int]:
    tokens: list[int] = output[0, inputs["input_ids"].shape[1] :].tolist()
    return tokens


@pytest.fixture
def talk(vendor: ModuleType, request: pytest.FixtureRequest) -> Any:
    return vendor.asked(request.param, QUESTIONS.parent)


each_question = pytest.mark.parametrize("talk", ASKED, indirect=True)
a_question = pytest.mark.parametrize("talk", ASKED[:1], indirect=True)


@each_question
def test_generate(client: Any, session: Session, vendor: ModuleType, talk: Any) -> None:
    model, processor = client
    inputs = vendor.encode(processor, talk)

    output = model.generate(**inputs, **vendor.GREEDY)

    assert answered(inputs, output) == expected(session, talk)


@each_question
def test_a_pipeline(client: Any, session: Session, vendor: ModuleType, talk: Any) -> None:
    model, processor = client
    ask = pipeline("image-text-to-text", model=model, processor=processor)

    (answer,) = ask(text=talk, return_full_text=False, generate_kwargs=vendor.GREEDY)

    ids = expected(session, talk)
    assert answer["generated_text"] == processor.tokenizer.decode(ids, skip_special_tokens=True)


@each_question
def test_a_streamer(client: Any, session: Session, vendor: ModuleType, talk: Any) -> None:
    model, processor = client
    streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=True, timeout=60)

    model.generate(**vendor.encode(processor, talk), **vendor.GREEDY, streamer=streamer)

    assert "".join(streamer) == processor.tokenizer.decode(expected(session, talk))


def test_a_script_unchanged(package: Path, session: Session, vendor: ModuleType) -> None:
    command = [sys.executable, "-m", "vlmforge", "emulate", vendor.__file__, package, QUESTIONS]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    found = [json.loads(line) for line in done.stdout.splitlines()]
    talks = [vendor.asked(question, QUESTIONS.parent) for question in ASKED]
    assert found == [expected(session, talk) for talk in talks], done.stderr


@pytest.mark.filterwarnings("ignore:Keep-all")
@a_question
def test_every_logit(client: Any, session: Session, vendor: ModuleType, talk: Any) -> None:
    """A run of each row, which the client does where all logits are wanted."""
    model, processor = client
    inputs, own = vendor.encode(processor, talk), session.inputs(talk)

    with torch.no_grad():
        logits = model(**inputs).logits[0].numpy()

    np.testing.assert_array_equal(logits, extend(session.new_context(), own, len(own)))


def test_conversations_take_turns(client: Any, session: Session, vendor: ModuleType) -> None:
    """Three have one slot, so the client carries their keys and values to and fro."""
    from transformers_mblt.utils.cache_utils import build_mobilint_cache_from_model

    model, processor = client
    talks = [vendor.asked(question, QUESTIONS.parent) for question in ASKED[:6:2]]
    caches = [build_mobilint_cache_from_model(model, 1) for _ in talks]
    for talk, cache in zip(talks, caches, strict=True):
        inputs = vendor.encode(processor, talk)
        output = model.generate(**inputs, **vendor.GREEDY, past_key_values=cache)
        text = processor.tokenizer.decode(answered(inputs, output), skip_special_tokens=True)
        talk += [{"role": "assistant", "content": text}, user("How many circles?")]

    for talk, cache in zip(talks, caches, strict=True):
        inputs = vendor.encode(processor, talk)
        for shown in ("pixel_values", "image_grid_thw"):
            del inputs[shown]
        output = model.generate(**inputs, **vendor.GREEDY, past_key_values=cache)
        assert answered(inputs, output) == expected(session, talk)


def test_a_batch(vendor: ModuleType) -> None:
    """The client has batches in the static layout alone, and there only of texts."""
    package = BUILT / "vendor-fixed"
    session = Session.open(package)
    model, processor = vendor.load(package, text_max_batch_size=3)
    talks = [[user(text)] for text in ("What do you see?", "How many?", "Where is the cross?")]
    inputs = vendor.encode(processor, *talks)
    assert inputs["attention_mask"].min() == 0

    output = model.generate(**inputs, **vendor.GREEDY)

    for row, talk in zip(output, talks, strict=True):
        wanted = expected(session, talk)
        assert row[inputs["input_ids"].shape[1] :][: len(wanted)].tolist() == wanted


def test_auto_processors(client: Any, package: Path) -> None:
    """Settings name what transformers and the client have."""
    images = AutoImageProcessor.from_pretrained(package)
    assert type(images).__module__.startswith("transformers.models.qwen2_vl")
    if not is_torchvision_available():
        pytest.skip("AutoProcessor needs torchvision, for videos")
    whole = "Qwen2VLProcessor" if package.name == "vendor-dynamic" else "MobilintQwen2VLProcessor"
    assert type(AutoProcessor.from_pretrained(package)).__name__ == whole


def test_plain_decoders(vendor: ModuleType, tiny_decoder: Path, tmp_path: Path) -> None:
    package = write_decoder_package(tmp_path / "package", tiny_decoder)
    talk = [{"role": "user", "content": "How many shapes?"}]
    model: Any = AutoModelForCausalLM.from_pretrained(str(package))
    tokenizer = AutoTokenizer.from_pretrained(str(package))
    inputs = tokenizer.apply_chat_template(
        talk, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    ask = pipeline("text-generation", model=model, tokenizer=tokenizer)

    output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    (answer,) = ask(talk, max_new_tokens=8, do_sample=False, return_full_text=False)

    wanted = expected(Session.open(package), talk, 8)
    assert type(model).__module__.startswith("transformers_mblt")
    assert answered(inputs, output) == wanted
    assert answer["generated_text"] == tokenizer.decode(wanted, skip_special_tokens=True)
