"""Write a Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint of random weights, shard by shard.

    python benchmarks/make_checkpoint.py --shape qwen2-vl-2b OUT [--tokenizer DIRECTORY]

Weights are bfloat16. Processor, chat template and everything that has no size are the bundled
sample model's; so is the tokenizer, unless ``--tokenizer`` names a directory with another one that
has Qwen2-VL's special tokens. Memory is that of one shard.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vlmforge.families.registry import families
from vlmforge.sample import checkpoint

SPECIAL_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}

SHAPES = {
    "1gb": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 65536,
        "vision": {"depth": 12, "embed_dim": 512, "num_heads": 8},
    },
    "qwen2-vl-2b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "vision": {"depth": 32, "embed_dim": 1280, "num_heads": 16},
    },
    "qwen2-vl-7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "vision": {"depth": 32, "embed_dim": 1280, "num_heads": 16},
    },
    "qwen2.5-vl-3b": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "architecture": "Qwen2_5_VLForConditionalGeneration",
        "vision": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "hidden_act": "silu",
            "out_hidden_size": 2048,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "tokens_per_second": 2,
        },
    },
    "qwen3-vl-2b": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "attention_bias": False,
        "vocab_size": 151936,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
        "architecture": "Qwen3VLForConditionalGeneration",
        "vision": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "hidden_act": "gelu_pytorch_tanh",
            "out_hidden_size": 2048,
            "patch_size": 16,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    },
}

PATCHES = ("in_channels", "patch_size", "spatial_merge_size", "temporal_patch_size")
"""What the sample's encoder says of patches, and any other takes on."""

PICTURES = {
    14: {"min_pixels": 56**2, "max_pixels": 3584**2},
    16: {
        "min_pixels": 256**2,
        "max_pixels": 4096**2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    },
}
"""What is published of pictures, by the side of a patch."""

SHARD = 512 << 20


def config_of(shape: str, tokens: dict[str, int]) -> dict[str, Any]:
    """The configuration of a shape; ``tokens`` maps the tokenizer's special tokens to ids."""
    sizes = dict(SHAPES[shape])
    vision, architecture = sizes.pop("vision"), sizes.pop("architecture", None)
    section = sizes["hidden_size"] // sizes["num_attention_heads"] // 16
    config = json.loads((checkpoint() / "config.json").read_text("utf-8"))
    text = {
        **config["text_config"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [2 * section, 3 * section, 3 * section],
        },
        **sizes,
        "eos_token_id": tokens["<|im_end|>"],
        "pad_token_id": tokens["<|endoftext|>"],
        "layer_types": ["full_attention"] * sizes["num_hidden_layers"],
        "max_window_layers": sizes["num_hidden_layers"],
    }
    config["tie_word_embeddings"] = text["tie_word_embeddings"]
    special = {name: tokens[token] for name, token in SPECIAL_TOKENS.items()}
    if architecture is None:
        vision = {**config["vision_config"], **vision, "hidden_size": sizes["hidden_size"]}
        return {**config, **special, "text_config": text, "vision_config": vision}
    kind = families()[architecture].model_class.config_class.model_type
    vision = {**{name: config["vision_config"][name] for name in PATCHES}, **vision}
    named = {"architectures": [architecture], "model_type": kind}
    parts = {
        "text_config": {**text, "model_type": f"{kind}_text"},
        "vision_config": {**vision, "model_type": f"{kind}_vision"},
    }
    return {**config, **special, **named, **parts}


def copy_files(tokenizer: Path, tokens: dict[str, int], config: dict[str, Any], out: Path) -> None:
    """Tokenizer, processor of patches, chat template, and the tokens that end an answer."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, out / name)
    shutil.copyfile(checkpoint() / "chat_template.jinja", out / "chat_template.jinja")
    write_json(out / "preprocessor_config.json", pictures_of(config))
    stop = [tokens["<|im_end|>"], tokens["<|endoftext|>"]]
    generation = {"do_sample": False, "eos_token_id": stop, "pad_token_id": stop[1]}
    write_json(out / "generation_config.json", generation)


def pictures_of(config: dict[str, Any]) -> dict[str, object]:
    """The settings of the processor of pictures."""
    settings = json.loads((checkpoint() / "preprocessor_config.json").read_text("utf-8"))
    patch = config["vision_config"]["patch_size"]
    named = config["architectures"][0].replace("ForConditionalGeneration", "Processor")
    return settings | {"patch_size": patch, "processor_class": named} | PICTURES[patch]


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def write(config: dict[str, Any], out: Path) -> None:
    """Write random weights, under the names of the Hub's checkpoints, in shards and an index."""
    kind = families()[config["architectures"][0]].model_class
    with torch.device("meta"):
        model = kind(kind.config_class.from_dict(config))
    shard: dict[str, torch.Tensor] = {}
    index: dict[str, str] = {}
    size = number = 0
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        weight = torch.randn(parameter.shape, generator=generator) * 0.02
        if parameter.dim() == 1 and name.endswith("weight"):
            weight += 1
        stored = name
        if kind.__name__ != "Qwen3VLForConditionalGeneration":  # published with those of today
            stored = name.removeprefix("model.").replace("language_model.", "model.")
        shard[stored] = weight.to(torch.bfloat16)
        index[stored] = f"model-{number:05d}.safetensors"
        size += shard[stored].nbytes
        if size > SHARD:
            save_file(shard, out / index[stored], {"format": "pt"})
            shard, size, number = {}, 0, number + 1
    if shard:
        save_file(shard, out / f"model-{number:05d}.safetensors", {"format": "pt"})
    write_json(out / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="qwen2-vl-2b")
    parser.add_argument("--tokenizer", type=Path, default=checkpoint())
    args = parser.parse_args()
    added = json.loads((args.tokenizer / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    tokens = {token["content"]: token["id"] for token in added}
    config = config_of(args.shape, tokens)
    args.out.mkdir(parents=True)
    copy_files(args.tokenizer, tokens, config, args.out)
    write_json(args.out / "config.json", config)
    write(config, args.out)


if __name__ == "__main__":
    main()
