"""Write a Qwen2-VL checkpoint with random weights, shard by shard, of any size.

    python benchmarks/make_checkpoint.py --shape 1gb --tokenizer DIRECTORY OUT

Weights are bfloat16. Tokenizer and processor files are copied from ``--tokenizer``, a Qwen2-VL
checkpoint whose vocabulary fits. Memory is that of one shard.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

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
}

SHARD = 512 << 20


def config_of(shape: str, tokenizer: Path) -> dict[str, object]:
    """The configuration of a shape, with the special tokens of the tokenizer's model."""
    sizes = dict(SHAPES[shape])
    vision = sizes.pop("vision")
    head_dim = sizes["hidden_size"] // sizes["num_attention_heads"]
    section = head_dim // 8
    config = json.loads((tokenizer / "config.json").read_text("utf-8"))
    text = {
        **config.get("text_config", config),
        **sizes,
        "layer_types": ["full_attention"] * sizes["num_hidden_layers"],
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [head_dim // 2 - 2 * (section + section // 2)]
            + [section + section // 2] * 2,
        },
    }
    vision = {**config["vision_config"], **vision, "hidden_size": sizes["hidden_size"]}
    return {**config, "text_config": text, "vision_config": vision, "tie_word_embeddings": True}


def write(config: dict[str, object], out: Path) -> None:
    """Write random weights in shards of at most 512 MB, and their index."""
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_dict(config))
    shard: dict[str, torch.Tensor] = {}
    index: dict[str, str] = {}
    size = number = 0
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name == "lm_head.weight":
            continue
        weight = torch.randn(parameter.shape, generator=generator) * 0.02
        if parameter.dim() == 1 and name.endswith("weight"):
            weight += 1
        shard[name] = weight.to(torch.bfloat16)
        index[name] = f"model-{number:05d}.safetensors"
        size += shard[name].nbytes
        if size > SHARD:
            save_file(shard, out / index[name], {"format": "pt"})
            shard, size, number = {}, 0, number + 1
    if shard:
        save_file(shard, out / f"model-{number:05d}.safetensors", {"format": "pt"})
    content = json.dumps({"metadata": {}, "weight_map": index})
    (out / "model.safetensors.index.json").write_text(content, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="qwen2-vl-2b")
    parser.add_argument("--tokenizer", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    for file in args.tokenizer.iterdir():
        if file.suffix in (".json", ".jinja", ".txt") and "index" not in file.name:
            shutil.copyfile(file, args.out / file.name)
    config = config_of(args.shape, args.tokenizer)
    (args.out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    write(config, args.out)


if __name__ == "__main__":
    main()
