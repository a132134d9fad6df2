"""A package through Hugging Face's classes answers as a session does."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoTokenizer,
    DynamicCache,
    Qwen2VLForConditionalGeneration,
    TextIteratorStreamer,
    pipeline,
)

from tests.conftest import special_id
from tests.dialogues import counting
from tests.packages import text_program
from vlmforge.decode.generate import Options
from vlmforge.errors import PackageError, RunError
from vlmforge.integrations.transformers import (
    MobilintCache,
    MobilintQwen2VLConfig,
    MobilintQwen2VLForConditionalGeneration,
    MobilintQwen2VLProcessor,
    register,
)
from vlmforge.machine.machine import open_machine
from vlmforge.run.conversation import Conversation

GREEDY = {"do_sample": False, "repetition_penalty": 1.0, "max_new_tokens": 8}


def picture(seed: int, size: tuple[int, int] = (90, 61)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def question(text: str, *images: Image.Image) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def encode(processor: Any, *conversations: list[dict[str, Any]], side: str = "left") -> Any:
    return processor.apply_chat_template(
        list(conversations),
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
        processor_kwargs={"padding": True, "padding_side": side},
    )


def session_tokens(model: Any, messages: list[dict[str, Any]], tokens: int = 8) -> list[int]:
    options = Options(max_new_tokens=tokens)
    return list(Conversation(model.session).generate(messages, options).token_ids)


QUESTIONS = [
    question("What?"),
    question("Describe the image.", picture(0)),
    question("Which?", picture(1), picture(2, (300, 40)), picture(1)),
]


@pytest.mark.parametrize("messages", QUESTIONS)
def test_generate_equals_the_session(model: Any, processor: Any, messages: Any) -> None:
    inputs = encode(processor, messages)

    output = model.generate(**inputs, **GREEDY)

    assert output[0, inputs["input_ids"].shape[1] :].tolist() == session_tokens(model, messages)


def test_a_padded_batch_equals_its_rows(model: Any, processor: Any) -> None:
    inputs = encode(processor, *QUESTIONS)

    output = model.generate(**inputs, **GREEDY)

    for row, messages in zip(output, QUESTIONS, strict=True):
        assert row[inputs["input_ids"].shape[1] :].tolist() == session_tokens(model, messages)


def test_without_a_cache(model: Any, processor: Any) -> None:
    inputs = encode(processor, QUESTIONS[1])

    output = model.generate(**inputs, **GREEDY, use_cache=False)

    assert output[0, -8:].tolist() == session_tokens(model, QUESTIONS[1])


def test_the_processor_fixes_the_image_size(model: Any, processor: Any) -> None:
    inputs = encode(processor, question("?", picture(0, (1000, 30))))

    assert inputs["image_grid_thw"].tolist() == [[1, 16, 16]]
    np.testing.assert_array_equal(
        inputs["pixel_values"].numpy(), model.session.preprocess(picture(0, (1000, 30))).slice(0)
    )


@pytest.mark.parametrize("messages", QUESTIONS)
def test_the_processor_equals_the_session(model: Any, processor: Any, messages: Any) -> None:
    expected = model.session.prompts.encode(messages).token_ids

    assert encode(processor, messages)["input_ids"][0].tolist() == expected.tolist()


def test_streamer(model: Any, processor: Any) -> None:
    streamer = TextIteratorStreamer(
        processor.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=60
    )
    output = model.generate(**encode(processor, QUESTIONS[1]), **GREEDY, streamer=streamer)

    text = processor.tokenizer.decode(output[0, -8:], skip_special_tokens=True)
    assert "".join(streamer) == text


def test_the_package_generation_settings_apply(model: Any, processor: Any) -> None:
    assert model.generation_config.repetition_penalty == 1.3
    assert model.generation_config.eos_token_id == [
        special_id("<|im_end|>"), special_id("<|endoftext|>")
    ]  # fmt: skip


def test_a_cache_continues_a_dialogue(model: Any, processor: Any) -> None:
    cache = MobilintCache(model.session.new_context)
    first = encode(processor, QUESTIONS[1])
    output = model.generate(**first, **GREEDY, past_key_values=cache)
    said = processor.tokenizer.decode(output[0, -8:], skip_special_tokens=False)
    held = cache.get_seq_length()
    assert held == output.shape[1] - 1

    more = processor.tokenizer(said + "<|im_end|>\nWhy?", return_tensors="pt")["input_ids"]
    tokens = torch.cat([output, more], dim=1)
    mask = torch.ones_like(tokens)
    continued = model.generate(tokens, attention_mask=mask, past_key_values=cache, **GREEDY)
    afresh = model.generate(**{**first, "input_ids": tokens, "attention_mask": mask}, **GREEDY)

    assert continued.tolist() == afresh.tolist()


def test_forward_gives_all_logits_or_those_wanted(model: Any, processor: Any) -> None:
    inputs = encode(processor, *QUESTIONS)
    every = model(**inputs).logits
    last = model(**inputs, logits_to_keep=3).logits
    chosen = model(**inputs, logits_to_keep=torch.tensor([-1, -3])).logits

    assert every.shape == (3, inputs["input_ids"].shape[1], 320)
    assert torch.equal(every[:, -3:], last) and torch.equal(last[:, [2, 0]], chosen)
    assert not every[inputs["attention_mask"] == 0].any()


def test_a_cropped_cache_forgets(model: Any, processor: Any) -> None:
    inputs = encode(processor, QUESTIONS[1])
    output = model(**inputs)
    output.past_key_values.crop(torch.tensor(-5))
    assert type(output.past_key_values.get_seq_length()) is int
    tail = inputs["input_ids"][:, -5:]

    held = output.past_key_values.get_seq_length()
    output.past_key_values.crop(held + 1)
    assert (
        output.past_key_values.get_seq_length() == output.past_key_values.contexts[0].length == held
    )

    again = model(tail, past_key_values=output.past_key_values)

    assert torch.equal(again.logits, output.logits[:, -5:])
    output.past_key_values.reset()
    assert output.past_key_values.get_seq_length() == 0


def test_pipeline(tiny_package: Path, model: Any) -> None:
    ask = pipeline("image-text-to-text", model=str(tiny_package))
    expected = model.session.prompts.tokenizer.decode(session_tokens(model, QUESTIONS[1]))

    answers = ask(
        text=question("Describe the image.", picture(0)),
        return_full_text=False,
        max_new_tokens=8,
        generate_kwargs={"do_sample": False, "repetition_penalty": 1.0},
    )

    assert answers[0]["generated_text"] == expected


def test_auto_classes(tiny_package: Path, model: Any, processor: Any) -> None:
    register()  # again
    config = AutoConfig.from_pretrained(tiny_package)

    assert isinstance(config, MobilintQwen2VLConfig)
    assert config.mxq_path == "tiny_text_model.mxq"
    assert config.vision_config.mxq_path == "tiny_vision_transformer.mxq"
    assert config.text_config.hidden_size == 96
    assert isinstance(processor, MobilintQwen2VLProcessor)
    assert isinstance(model, MobilintQwen2VLForConditionalGeneration)
    assert type(AutoModelForMultimodalLM.from_pretrained(tiny_package)) is type(model)
    assert AutoTokenizer.from_pretrained(tiny_package)("hello").input_ids


def test_the_model_has_no_parameters(model: Any) -> None:
    assert list(model.parameters()) == []
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    assert model.can_generate() and not model.training


def test_sampling_several_answers_to_text(model: Any, processor: Any) -> None:
    inputs = encode(processor, QUESTIONS[0])

    output = model.generate(
        **inputs, do_sample=True, top_k=50, top_p=1.0, temperature=2.0, max_new_tokens=6,
        num_return_sequences=3,
    )  # fmt: skip

    assert output.shape[0] == 3 and len({tuple(row) for row in output.tolist()}) > 1


def test_a_generated_image_token_is_an_ordinary_token(model: Any, processor: Any) -> None:
    image_token = model.session.prompts.placeholders.image

    output = model.generate(
        **encode(processor, QUESTIONS[0]), **GREEDY,
        logits_processor=[lambda ids, scores: torch.full_like(scores, -1e9).index_fill_(
            1, torch.tensor([image_token]), 0.0
        )],
    )  # fmt: skip

    assert output[0, -3:].tolist() == [image_token] * 3


def test_several_answers_to_each_of_several_prompts(model: Any, processor: Any) -> None:
    inputs = encode(processor, *QUESTIONS)
    encoded = len(inputs["input_ids"][0])
    seeds = {"do_sample": True, "top_k": 50, "top_p": 1.0, "temperature": 2.0, "max_new_tokens": 6}
    torch.manual_seed(0)
    together = model.generate(**inputs, **seeds, num_return_sequences=2)
    torch.manual_seed(0)
    afresh = model.generate(**inputs, **seeds, num_return_sequences=2, use_cache=False)

    assert together.tolist() == afresh.tolist()
    assert together.shape[0] == 6 and len({tuple(row) for row in together.tolist()}) > 3
    greedy = model.generate(**inputs, **GREEDY)
    assert together[::2, :encoded].tolist() == greedy[:, :encoded].tolist()


def test_equal_prompts_are_read_once(model: Any, processor: Any) -> None:
    session = counting(model.session)
    counted = MobilintQwen2VLForConditionalGeneration(model.config, session)
    inputs = encode(processor, QUESTIONS[1])

    output = counted.generate(
        **inputs, do_sample=True, top_k=50, max_new_tokens=3, num_return_sequences=4
    )

    assert output.shape[0] == 4 and session.vision is not None
    assert session.text.rows == [inputs["input_ids"].shape[1]] + [1] * 8
    assert session.text.batches == [1, 4, 4] and len(session.vision.machine.rows) == 1


@pytest.mark.parametrize("messages", QUESTIONS[:2])
def test_beams(model: Any, processor: Any, messages: Any) -> None:
    inputs = encode(processor, messages)

    found = [
        model.generate(
            **inputs, **GREEDY, num_beams=3, num_return_sequences=2, use_cache=use_cache,
            return_dict_in_generate=True, output_scores=True,
        )
        for use_cache in (True, False)
    ]  # fmt: skip

    assert found[0].sequences.tolist() == found[1].sequences.tolist()
    assert found[0].sequences_scores.tolist() == found[1].sequences_scores.tolist()
    assert found[0].sequences.shape[0] == 2


def test_guessed_tokens_are_taken_back(model: Any, processor: Any) -> None:
    messages = question("Describe the image. Describe the image. Describe")
    inputs = encode(processor, messages)

    output = model.generate(**inputs, **GREEDY, prompt_lookup_num_tokens=3)

    expected = session_tokens(model, messages)
    assert output[0, inputs["input_ids"].shape[1] :].tolist() == expected


def test_a_cache_of_several_sequences_is_rearranged(model: Any, processor: Any) -> None:
    inputs = encode(processor, *QUESTIONS[:2])
    cache = model(**inputs).past_key_values
    lengths = [context.length for context in cache.contexts]
    cache.batch_repeat_interleave(2)
    assert [context.length for context in cache.contexts] == [
        lengths[0], lengths[0], lengths[1], lengths[1]
    ]  # fmt: skip
    assert len({id(context) for context in cache.contexts}) == 4
    cache.batch_select_indices(torch.tensor([3, 0]))

    logits = model(torch.tensor([[7], [7]]), past_key_values=cache).logits
    again = model(**inputs).past_key_values
    assert torch.equal(
        logits.flip(0), model(torch.tensor([[7], [7]]), past_key_values=again).logits
    )


def test_a_cut_within_an_image_is_refused(model: Any, processor: Any) -> None:
    cache = model(**encode(processor, QUESTIONS[1])).past_key_values

    with pytest.raises(RunError, match="within an image"):
        cache.crop(-60)
    assert cache.get_seq_length() == cache.contexts[0].length
    cache.crop(9)
    assert cache.get_seq_length() == cache.contexts[0].length == 9


def test_inputs_of_another_processor_are_refused(model: Any, processor: Any) -> None:
    inputs = encode(processor, QUESTIONS[1])
    with pytest.raises(RunError, match="image_grid_thw"):
        model(**{**inputs, "image_grid_thw": torch.tensor([[1, 8, 32]])})
    with pytest.raises(RunError, match="64 image tokens for 0 rows"):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(RunError, match="inputs_embeds"):
        model(input_ids=inputs["input_ids"], inputs_embeds=torch.zeros(1))
    with pytest.raises(RunError, match="past_key_values"):
        model(input_ids=inputs["input_ids"], past_key_values=DynamicCache())


def test_images_left_over_are_refused(model: Any, processor: Any) -> None:
    inputs = encode(processor, QUESTIONS[1])
    with pytest.raises(RunError, match="1 images more"):
        model(**{**inputs, "input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": None})


def test_a_cache_of_another_batch_is_refused(model: Any, processor: Any) -> None:
    cache = model(**encode(processor, QUESTIONS[0])).past_key_values

    with pytest.raises(RunError, match="1 sequences, the inputs are 2"):
        model(torch.tensor([[1], [2]]), past_key_values=cache)


def test_a_directory_that_is_no_package(tiny_package: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_package / "config.json", tmp_path)

    with pytest.raises(PackageError):
        AutoModelForImageTextToText.from_pretrained(tmp_path)


def test_a_blind_package(model: Any, processor: Any) -> None:
    session = dataclasses.replace(model.session, vision=None, preprocess=None)
    blind = MobilintQwen2VLForConditionalGeneration(model.config, session)
    with pytest.raises(RunError, match="no vision program"):
        blind(**encode(processor, QUESTIONS[1]))


LOOKED_UP = [
    question("Describe the image. Describe the image. Describe", picture(0)),
    question("Which?", picture(1), picture(2), picture(1)),
    [
        *question("What?", picture(3)),
        {"role": "assistant", "content": [{"type": "text", "text": "A star."}]},
        *question("And this?", picture(4), picture(3)),
    ],
]


@pytest.mark.parametrize("messages", LOOKED_UP)
@pytest.mark.parametrize("tokens", [1, 10, 70])
def test_looking_up_beside_images(model: Any, processor: Any, messages: Any, tokens: int) -> None:
    inputs = encode(processor, messages)

    output = model.generate(
        **inputs, **{**GREEDY, "max_new_tokens": 24}, prompt_lookup_num_tokens=tokens,
        max_matching_ngram_size=2,
    )  # fmt: skip

    expected = session_tokens(model, messages, 24)
    assert output[0, inputs["input_ids"].shape[1] :].tolist() == expected


@pytest.mark.parametrize("types", [True, False])
def test_guessed_image_tokens_stand_for_no_images(model: Any, processor: Any, types: bool) -> None:
    """Whatever was said is an image token, and the prompt is full of guesses for what follows."""
    image_token = model.session.prompts.placeholders.image
    inputs = encode(processor, QUESTIONS[2])
    if not types:
        del inputs["mm_token_type_ids"]
    forced = [
        lambda ids, scores: torch.full_like(scores, -1e9).index_fill_(
            1, torch.tensor([image_token]), 0.0
        )
    ]

    plain = model.generate(**inputs, **GREEDY, logits_processor=forced)
    output = model.generate(**inputs, **GREEDY, logits_processor=forced, prompt_lookup_num_tokens=9)

    assert plain[0, -8:].tolist() == [image_token] * 8
    longest = plain.shape[1]  # transformers 5.4 takes guesses beyond max_new_tokens
    assert output[:, :longest].tolist() == plain.tolist()


@pytest.fixture(scope="module")
def other_package(model: Any) -> Any:
    """A package with other weights in its text program."""
    text = open_machine(text_program(seed=9))
    return MobilintQwen2VLForConditionalGeneration(
        model.config, dataclasses.replace(model.session, text=text)
    )


@pytest.fixture(scope="module")
def original(tiny_checkpoint: Path) -> Any:
    return Qwen2VLForConditionalGeneration.from_pretrained(tiny_checkpoint)


@pytest.mark.parametrize("name", ["model", "other_package", "original"])
@pytest.mark.parametrize("messages", [question("What?"), *LOOKED_UP])
def test_assistants_beside_images(
    request: pytest.FixtureRequest, model: Any, processor: Any, messages: Any, name: str
) -> None:
    assistant = request.getfixturevalue(name)
    inputs = encode(processor, messages)

    output = model.generate(**inputs, **{**GREEDY, "max_new_tokens": 20}, assistant_model=assistant)

    expected = session_tokens(model, messages, 20)
    assert output[0, inputs["input_ids"].shape[1] :].tolist() == expected


def test_a_batch_padded_on_the_right_equals_its_rows(model: Any, processor: Any) -> None:
    inputs = encode(processor, *QUESTIONS, side="right")
    assert inputs["attention_mask"][:, -1].tolist() == [0, 0, 1]

    for options in ({}, {"use_cache": False}):
        output = model.generate(**inputs, **GREEDY, **options)

        for row, messages in zip(output, QUESTIONS, strict=True):
            assert row[inputs["input_ids"].shape[1] :].tolist() == session_tokens(model, messages)
