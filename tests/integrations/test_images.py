"""Images of any size and videos through Hugging Face's classes, answered as a session does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from tests.conftest import special_id
from tests.dialogues import TALKS, assistant, picture, user, video
from tests.images.films import film
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.integrations.transformers import (
    MobilintCache,
    MobilintQwen2VLForConditionalGeneration,
)
from vlmforge.run.conversation import Conversation

PAD = special_id("<|endoftext|>")
GREEDY = {"do_sample": False, "repetition_penalty": 1.0, "max_new_tokens": 8}
talks = pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)


def encode(processor: Any, *talks: Any, side: str = "left", **options: Any) -> Any:
    return processor.apply_chat_template(
        list(talks),
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
        processor_kwargs={"padding": True, "padding_side": side, **options},
    )


def expected(model: Any, talk: Any, tokens: int = 8) -> list[int]:
    """The tokens of a session's answer, padded as ``generate`` pads those of a batch."""
    options = Options(max_new_tokens=tokens)
    return padded(Conversation(model.session).generate(talk, options).token_ids, tokens)


def answered(inputs: Any, output: torch.Tensor, row: int = 0, tokens: int = 8) -> list[int]:
    return padded(output[row, inputs["input_ids"].shape[1] :].tolist(), tokens)


def padded(token_ids: Sequence[int], tokens: int) -> list[int]:
    return [*token_ids, *[PAD] * (tokens - len(token_ids))]


@talks
def test_the_processor_equals_the_session(
    dynamic_model: Any, dynamic_processor: Any, talk: Any
) -> None:
    inputs = encode(dynamic_processor, talk)
    token_ids, visuals = dynamic_model.session.prepare(talk)

    assert inputs["input_ids"][0].tolist() == token_ids.tolist()
    slices = [visual.slice(index) for visual in visuals for index in range(visual.grid.frames)]
    kinds = [part["type"] for m in talk for part in m["content"] if part["type"] != "text"]
    for kind, name in (("image", "pixel_values"), ("video", "pixel_values_videos")):
        own = [
            visual.slice(index)
            for visual, each in zip(visuals, kinds, strict=True)
            if each == kind
            for index in range(visual.grid.frames)
        ]
        if own:
            np.testing.assert_array_equal(inputs[name].numpy(), np.concatenate(own))
    assert len(slices) >= len(kinds)


@talks
@pytest.mark.parametrize("cached", [True, False])
def test_generate_equals_the_session(
    dynamic_model: Any, dynamic_processor: Any, talk: Any, cached: bool
) -> None:
    inputs = encode(dynamic_processor, talk)

    output = dynamic_model.generate(**inputs, **GREEDY, use_cache=cached)

    assert answered(inputs, output) == expected(dynamic_model, talk)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_equals_its_rows(
    dynamic_model: Any, dynamic_processor: Any, side: str
) -> None:
    chosen = [*TALKS.values(), [user("What?")]]
    inputs = encode(dynamic_processor, *chosen, side=side)

    output = dynamic_model.generate(**inputs, **GREEDY)

    for row, talk in enumerate(chosen):
        assert answered(inputs, output, row) == expected(dynamic_model, talk)


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"do_sample": True, "temperature": 2.0}])
def test_several_answers_to_each_of_several_prompts(
    dynamic_model: Any, dynamic_processor: Any, options: dict[str, Any]
) -> None:
    names = ("a video between images", "images of two sizes in two turns")
    inputs = encode(dynamic_processor, *(TALKS[name] for name in names))
    found = []
    for cached in (True, False):
        torch.manual_seed(0)
        output = dynamic_model.generate(
            **inputs, **{**GREEDY, **options}, num_return_sequences=2, use_cache=cached
        )
        found.append(output.tolist())

    assert found[0] == found[1] and len(found[0]) == 4


@talks
@pytest.mark.parametrize("tokens", [3, 40])
def test_looking_up(dynamic_model: Any, dynamic_processor: Any, talk: Any, tokens: int) -> None:
    inputs = encode(dynamic_processor, talk)

    output = dynamic_model.generate(
        **inputs, **{**GREEDY, "max_new_tokens": 16}, prompt_lookup_num_tokens=tokens,
        max_matching_ngram_size=2,
    )  # fmt: skip

    assert answered(inputs, output, tokens=16) == expected(dynamic_model, talk, 16)


@talks
def test_assistants(dynamic_model: Any, dynamic_processor: Any, talk: Any) -> None:
    helper = MobilintQwen2VLForConditionalGeneration(dynamic_model.config, dynamic_model.session)
    helper.generation_config = dynamic_model.generation_config
    inputs = encode(dynamic_processor, talk)

    output = dynamic_model.generate(**inputs, **GREEDY, assistant_model=helper)

    assert answered(inputs, output) == expected(dynamic_model, talk)


def test_a_cache_takes_images_turn_by_turn(dynamic_model: Any, dynamic_processor: Any) -> None:
    cache = MobilintCache(dynamic_model.session.new_context)
    first = [user(picture(0, (56, 84)), video(1, 4), "What?")]
    second = [*first, assistant("A star."), user(picture(2, (112, 56)), "And this?")]
    whole, begun = encode(dynamic_processor, second), encode(dynamic_processor, first)
    read = begun["input_ids"].shape[1]
    assert torch.equal(whole["input_ids"][:, :read], begun["input_ids"])
    dynamic_model(**begun, past_key_values=cache)

    images = int(whole["image_grid_thw"][0].prod())
    logits = dynamic_model(
        input_ids=whole["input_ids"][:, read:],
        pixel_values=whole["pixel_values"][images:],
        image_grid_thw=whole["image_grid_thw"][1:],
        past_key_values=cache,
        logits_to_keep=1,
    ).logits

    assert torch.equal(logits, dynamic_model(**whole, logits_to_keep=1).logits)


def test_a_pipeline(dynamic_model: Any, dynamic_processor: Any) -> None:
    tokenizer = dynamic_processor.tokenizer
    ask = pipeline(
        "image-text-to-text",
        model=dynamic_model,
        processor=dynamic_processor,
        tokenizer=tokenizer,
        image_processor=dynamic_processor.image_processor,
    )
    talk = TALKS["images of two sizes in two turns"]

    answer = ask(text=talk, return_full_text=False, generate_kwargs=GREEDY)

    ids = [token for token in expected(dynamic_model, talk) if token != PAD]
    assert answer[0]["generated_text"] == tokenizer.decode(ids, skip_special_tokens=True)


def test_a_video_file(dynamic_model: Any, dynamic_processor: Any, tmp_path: Path) -> None:
    file = str(film(tmp_path / "a.mp4", size=(84, 56)))
    part = {"type": "video", "video": file}
    inputs = encode(dynamic_processor, [user(part, "What?")], fps=10, max_frames=6)

    output = dynamic_model.generate(**inputs, **GREEDY)

    talk = [user({**part, "fps": 10, "max_frames": 6}, "What?")]
    assert inputs["video_grid_thw"].tolist() == [[3, 4, 6]]
    assert answered(inputs, output) == expected(dynamic_model, talk)


def test_frames_in_every_form(dynamic_processor: Any) -> None:
    pixels = video(0, 3)["video"]
    forms = [pixels, list(pixels), [Image.fromarray(each) for each in pixels],
             torch.from_numpy(pixels).permute(0, 3, 1, 2)]  # fmt: skip

    found = [dynamic_processor.video_processor([form]) for form in forms]

    for each in found:
        assert each["video_grid_thw"].tolist() == [[2, 4, 6]]
        expected = found[0]["pixel_values_videos"]
        np.testing.assert_array_equal(each["pixel_values_videos"], expected)


def test_a_fixed_package_takes_videos(model: Any, processor: Any) -> None:
    talk = [user(video(0, 3), picture(1), "What?")]
    inputs = encode(processor, talk)

    output = model.generate(**inputs, **GREEDY)

    assert inputs["video_grid_thw"].tolist() == [[2, 16, 16]]
    assert answered(inputs, output) == expected(model, talk)


@pytest.mark.parametrize(
    ("grid", "what"),
    [
        ([1, 4, 6], "the pixels are of other grids"),
        ([1, 3, 8], "multiples of 2"),
        ([1, 0, 8], "other grids"),
        ([1, 2, 12], None),
    ],
)
def test_grids_that_are_not_those_of_the_pixels(
    dynamic_model: Any, dynamic_processor: Any, grid: list[int], what: str | None
) -> None:
    inputs = encode(dynamic_processor, [user(picture(0, (84, 56)), "?")])
    pixels, given = torch.zeros(24, 1176), torch.tensor([grid])
    if what == "the pixels are of other grids":
        pixels = pixels[1:]
    elif what is None:
        dynamic_model(**{**inputs, "pixel_values": pixels, "image_grid_thw": given})
        return
    with pytest.raises(RunError, match=what):
        dynamic_model(**{**inputs, "pixel_values": pixels, "image_grid_thw": given})


def test_a_grid_beyond_the_table(dynamic_model: Any, dynamic_processor: Any) -> None:
    inputs = encode(dynamic_processor, [user(picture(0, (84, 56)), "?")])
    grid, pixels = torch.tensor([[1, 2, 52]]), torch.zeros(104, 1176)

    with pytest.raises(RunError, match="52 patches, at most 50"):
        dynamic_model(**{**inputs, "pixel_values": pixels, "image_grid_thw": grid})
    with pytest.raises(RunError, match="video_grid_thw"):
        dynamic_model(
            input_ids=inputs["input_ids"],
            pixel_values_videos=pixels[:, 1:],
            video_grid_thw=torch.tensor([[1, 2, 2]]),
        )


def test_an_image_for_which_the_cache_has_no_room(
    dynamic_model: Any, dynamic_processor: Any
) -> None:
    inputs = encode(dynamic_processor, [user("word " * 40)])
    shown = encode(dynamic_processor, [user(picture(0, (300, 300)), "?")])
    cache = dynamic_model(**inputs).past_key_values
    while cache.get_seq_length() + inputs["input_ids"].shape[1] < 500:
        cache = dynamic_model(inputs["input_ids"], past_key_values=cache).past_key_values
    held = cache.get_seq_length()

    with pytest.raises(RunError, match="maximum length is 512"):
        dynamic_model(**{**shown, "attention_mask": None}, past_key_values=cache)

    assert cache.get_seq_length() == held == cache.contexts[0].length
