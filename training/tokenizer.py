"""The sample model's tokenizer: byte-level BPE with Qwen2-VL's special tokens."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.questions import ORDINALS, ask_many
from vlmforge.calibrate.scenes import scene_items

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
VOCABULARY = 512
SYSTEM = "You are a helpful assistant."

CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\n" + SYSTEM + "<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id or image_count.value > 1 %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2-VL's chat template, which also names the second picture and all behind it."""

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's rule for cutting text before the merges."""


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, its merges learned from a fixed set of questions and answers."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(), trainer)
    bpe.model = _with_words(bpe, ORDINALS)
    return _loaded(bpe, list(SPECIAL[1:]), CHAT_TEMPLATE)


def renamed(tokens: Mapping[str, tuple[str, str]]) -> PreTrainedTokenizerFast:
    """Return the tokenizer with other names of special tokens, and what a processor calls them.

    Its chat template leaves what stands around an image or a video to the processor.
    """
    text, template = tokenizer().backend_tokenizer.to_str(), CHAT_TEMPLATE
    for shown in ("<|image_pad|>", "<|video_pad|>"):
        template = template.replace(f"<|vision_start|>{shown}<|vision_end|>", tokens[shown][0])
    for ours, (theirs, _) in tokens.items():
        text = text.replace(json.dumps(ours), json.dumps(theirs))
    called = {role: theirs for theirs, role in tokens.values()}
    return _loaded(Tokenizer.from_str(text), called, template)


def _loaded(
    bpe: Tokenizer, special: list[str] | dict[str, str], template: str
) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=special,
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def _with_words(bpe: Tokenizer, words: Iterable[str]) -> models.BPE:
    """Return the model of `bpe` with merges behind all others that make each word one token."""
    trained = json.loads(bpe.to_str())["model"]
    vocabulary, merges = trained["vocab"], [tuple(merge) for merge in trained["merges"]]
    for word in words:
        first, *others = bpe.encode(f" {word}").tokens
        for piece in others:
            merges.append((first, piece))
            first += piece
            vocabulary[first] = len(vocabulary)
    return models.BPE(vocab=vocabulary, merges=merges)


def token_id(token: str) -> int:
    """Return the id of a special token."""
    return SPECIAL.index(token)


def _corpus() -> Iterator[str]:
    yield from (f"{role}\n" for role in ("system", "user", "assistant") for _ in range(1000))
    yield from (SYSTEM for _ in range(1000))
    rng = random.Random(0)
    for seed in range(2000):
        for question in ask_many(scene_items(seed), 8, rng):
            yield question.text
            yield question.answer
