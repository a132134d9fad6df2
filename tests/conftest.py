"""A tiny Qwen2-VL checkpoint, in the form of those on the Hugging Face Hub, for every test."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before huggingface_hub is first imported
os.environ["VLMFORGE_CACHE"] = os.devnull  # nothing is remembered between runs

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from vlmforge.run.session import Session

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

WORDS = 298
"""Byte-level entries of the vocabulary; the special tokens follow."""

VOCABULARY = 320
"""Rows of the embedding: as in the original, more than the tokenizer knows."""

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TEXT = (
    "Describe the image. A red circle is left of the blue square. How many shapes are there? "
    "There are three shapes: a star, a cross and a triangle. You are a helpful assistant."
)

TEMPLATE = """\
{%- if messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'video' -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- else -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


PLAIN_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def special_id(token: str) -> int:
    """The id of a special token."""
    return WORDS + SPECIAL.index(token)


CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "attention_dropout": 0.0,
    "bos_token_id": special_id("<|endoftext|>"),
    "eos_token_id": special_id("<|im_end|>"),
    "vision_start_token_id": special_id("<|vision_start|>"),
    "vision_end_token_id": special_id("<|vision_end|>"),
    "vision_token_id": special_id("<|vision_pad|>"),
    "image_token_id": special_id("<|image_pad|>"),
    "video_token_id": special_id("<|video_pad|>"),
    "hidden_act": "silu",
    "hidden_size": 96,
    "initializer_range": 0.02,
    "intermediate_size": 160,
    "max_position_embeddings": 32768,
    "max_window_layers": 3,
    "model_type": "qwen2_vl",
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vision_config": {
        "depth": 2,
        "embed_dim": 64,
        "mlp_ratio": 4,
        "num_heads": 4,
        "in_chans": 3,
        "hidden_size": 96,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    },
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    "vocab_size": VOCABULARY,
}
"""Flat, as the original Qwen2-VL checkpoints have it."""

DECODER_CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "bos_token_id": special_id("<|endoftext|>"),
    "eos_token_id": special_id("<|im_end|>"),
    "hidden_act": "silu",
    "hidden_size": 96,
    "intermediate_size": 160,
    "max_position_embeddings": 32768,
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": VOCABULARY,
}
"""A plain decoder, as checkpoints of Qwen2 have it."""

FINAL_NORMS = ("language_model.norm.weight", "model.norm.weight")

PREPROCESSOR = {
    "min_pixels": 3136,
    "max_pixels": 100352,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2VLProcessor",
}

GENERATION = {
    "bos_token_id": special_id("<|endoftext|>"),
    "eos_token_id": [special_id("<|im_end|>"), special_id("<|endoftext|>")],
    "pad_token_id": special_id("<|endoftext|>"),
    "do_sample": True,
    "temperature": 0.01,
    "top_k": 1,
    "top_p": 0.001,
    "repetition_penalty": 1.3,
}


def make_tokenizer(further: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE tokenizer with Qwen2-VL's special tokens, and further ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    tokenizer.add_special_tokens([*SPECIAL, *further])
    assert tokenizer.token_to_id(SPECIAL[0]) == WORDS
    return tokenizer


def make_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights, bfloat16, under the Hub's names; large enough that logits are not flat."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_dict(CONFIG))
    weights = {
        name.removeprefix("model.").replace("language_model.", "model."): value
        for name, value in random_weights(model, seed).items()
    }
    weights.pop("lm_head.weight", None)
    return weights


def make_decoder_weights(tied: bool, seed: int = 0) -> dict[str, torch.Tensor]:
    """The same of :data:`DECODER_CONFIG`, with a head of its own unless tied."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    settings = {**DECODER_CONFIG, "tie_word_embeddings": tied}
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config.from_dict(settings))
    weights = random_weights(model, seed)
    if tied:
        weights.pop("lm_head.weight", None)
    return weights


def random_weights(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """A random value of every parameter, bfloat16, by its name."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        value = torch.randn(parameter.shape, generator=generator) * _spread(name, parameter)
        if parameter.dim() == 1 and name.endswith("weight"):
            value += 4.0 if name.endswith(FINAL_NORMS) else 1.0
        weights[name] = value.to(torch.bfloat16)
    return weights


def _spread(name: str, parameter: torch.Tensor) -> float:
    """The standard deviation: small embeddings and sharp layers, so that answers vary."""
    if "embed_tokens" in name or parameter.dim() == 1:
        return 0.1
    sharp = any(part in name for part in ("q_proj", "k_proj", "gate_proj", "up_proj"))
    return float(parameter[0].numel() ** -0.5) * (1.5 if sharp else 1.0)


def write_tokenizer(
    directory: Path, template: str = TEMPLATE, named: Mapping[str, str] | None = None
) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` with the chat template.

    Further special tokens may be ``named``, as transformers' processors look for them.
    """
    make_tokenizer([*(named or {}).values()]).save(str(directory / "tokenizer.json"))
    settings = {
        "add_prefix_space": False,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        **({"extra_special_tokens": dict(named)} if named else {}),
    }
    write_json(directory / "tokenizer_config.json", settings)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def write_checkpoint(directory: Path) -> Path:
    """Write the whole tiny checkpoint."""
    write_tokenizer(directory)
    write_json(directory / "config.json", CONFIG)
    write_json(directory / "preprocessor_config.json", PREPROCESSOR)
    write_json(directory / "generation_config.json", GENERATION)
    save_file(make_weights(), directory / "model.safetensors", {"format": "pt"})
    return directory


def write_decoder(directory: Path, tied: bool = False) -> Path:
    """Write a tiny plain decoder; its template takes contents that are texts only."""
    write_tokenizer(directory, PLAIN_TEMPLATE)
    write_json(directory / "config.json", {**DECODER_CONFIG, "tie_word_embeddings": tied})
    save_file(make_decoder_weights(tied), directory / "model.safetensors", {"format": "pt"})
    return directory


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny random Qwen2 with a head of its own; treat it as read-only."""
    directory = tmp_path_factory.mktemp("models") / "Tiny-LM"
    directory.mkdir()
    return write_decoder(directory)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny random Qwen2-VL; treat it as read-only."""
    directory = tmp_path_factory.mktemp("models") / "Tiny-VL"
    directory.mkdir()
    return write_checkpoint(directory)


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The directory of a package with random weights; treat it as read-only."""
    from tests.packages import write_package

    return write_package(tmp_path_factory.mktemp("packages") / "tiny", tiny_checkpoint)


@pytest.fixture(scope="session")
def dynamic_package(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The directory of a package with random weights that takes images of any size."""
    from tests.packages import write_package

    directory = tmp_path_factory.mktemp("packages") / "dynamic"
    return write_package(directory, tiny_checkpoint, dynamic=True)


@pytest.fixture(scope="session")
def dynamic_session(dynamic_package: Path) -> Session:
    """That package opened."""
    return Session.open(dynamic_package)


@pytest.fixture(scope="session")
def session(tiny_package: Path) -> Session:
    """The package opened."""
    return Session.open(tiny_package)
