"""The tokenizer encodes any text and knows Qwen2-VL's tokens."""

from __future__ import annotations

import pytest

from training.tokenizer import SPECIAL, VOCABULARY, token_id, tokenizer


@pytest.mark.parametrize(
    "text", ["What color is the circle?", "A large red circle.", "Grüße, 世界 🙂\n\t 12", ""]
)
def test_round_trip(text: str) -> None:
    assert tokenizer().decode(tokenizer().encode(text)) == text


def test_special_tokens_are_single_and_numbered() -> None:
    for token in SPECIAL:
        assert tokenizer().encode(token) == [token_id(token)]
    assert len(tokenizer()) <= VOCABULARY


@pytest.mark.parametrize("words", [" large red circle", " first second third"])
def test_words_of_the_scenes_are_single_tokens(words: str) -> None:
    assert len(tokenizer().encode(words)) == 3


def test_chat_template() -> None:
    content = [{"type": "image"}, {"type": "text", "text": "Describe this image."}]
    messages = [{"role": "user", "content": content}]
    text = tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe this image."
        "<|im_end|>\n<|im_start|>assistant\n"
    )


def test_chat_template_shows_images_and_videos_in_their_order() -> None:
    content = [{"type": kind} for kind in ("image", "video", "image")]
    messages = [{"role": "user", "content": content}]
    text = tokenizer().apply_chat_template(messages, tokenize=False, add_vision_id=True)
    shown = "<|vision_start|><|{}_pad|><|vision_end|>"
    image, video = shown.format("image"), shown.format("video")
    assert f"Picture 1: {image}Video 1: {video}Picture 2: {image}<|im_end|>" in text


def test_chat_template_names_the_second_picture_and_those_behind_it() -> None:
    messages = [{"role": "user", "content": [{"type": "image"}] * 3}]
    text = tokenizer().apply_chat_template(messages, tokenize=False)
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    assert f"user\n{image}Picture 2: {image}Picture 3: {image}<|im_end|>" in text
