"""Write a trained model as a bfloat16 Hugging Face checkpoint.

`python -m training.export runs/sample/model.pt CHECKPOINT` also takes a stage's `text.pt`,
`joint.pt` or `canvas.pt`; `--family` is that of the training. Files already there are replaced one
by one, each whole.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from training.canvas import SHOWN
from training.family import FAMILIES, MERGE, Family, family_of
from training.model import build
from training.tokenizer import renamed, token_id, tokenizer

IN_STAGE = "sample."
"""How the last stage names the weights, beside those of its readers."""

FRAMES = (4, 32)
"""The bounds of a video's pixels are those of so many pictures."""


def processors(family: Family) -> dict[str, dict[str, Any]]:
    """Return the settings of the processors of pixels, by the name of their file."""
    shared = {
        "processor_class": family.processor,
        "image_mean": family.mean,
        "image_std": family.std,
    }
    return _tiled(family, shared) if family.tiles else _whole(family, shared)


def _tiled(family: Family, shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    tiles = family.tiles
    images = {
        "image_processor_type": "GotOcr2ImageProcessor",
        **shared,
        "size": {"height": tiles.height, "width": tiles.width},
        **tiles.asked,
    }
    whole = {
        "processor_class": family.processor,
        "image_seq_length": tiles.patches // MERGE**2,
    }
    return {"preprocessor_config.json": images, "processor_config.json": whole}


def _whole(family: Family, shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    shared = shared | {
        "patch_size": family.vision["patch_size"],
        "temporal_patch_size": family.vision["temporal_patch_size"],
        "merge_size": family.vision["spatial_merge_size"],
    }
    least, most = (side**2 for side in SHOWN)
    images = {"image_processor_type": "Qwen2VLImageProcessor"} | shared
    files = {"preprocessor_config.json": images | {"min_pixels": least, "max_pixels": most}}
    if family.videos:
        size = {"shortest_edge": least * FRAMES[0], "longest_edge": most * FRAMES[1]}
        files["video_preprocessor_config.json"] = {**family.videos, **shared, "size": size}
    return files


def load(path: Path, family: str = "qwen2-vl") -> PreTrainedModel:
    """Return the model whose weights a training stage or the whole training saved at `path`."""
    state = torch.load(path, weights_only=True)
    weights = state.get("module", state)
    model = build(0, family)
    named = {name.removeprefix(IN_STAGE): weights[name] for name in weights if IN_STAGE in name}
    model.load_state_dict(named or weights)
    return model.eval()


def write(model: PreTrainedModel, folder: Path) -> None:
    """Write weights, configs, tokenizer and settings of processors to `folder`."""
    ends = [token_id("<|im_end|>"), token_id("<|endoftext|>")]
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=ends, pad_token_id=ends[1], max_new_tokens=128
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    family = family_of(model)
    spoken = renamed(family.tokens) if family.tokens else tokenizer()
    spoken.save_pretrained(folder)
    for name, settings in processors(family).items():
        (folder / name).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def replace(staged: Path, folder: Path) -> None:
    """Move every file of `staged` to `folder`; a reader there sees old files or new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in staged.iterdir():
        partial = folder / f".{file.name}.partial"
        shutil.copyfile(file, partial)
        partial.replace(folder / file.name)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--family", choices=FAMILIES, default="qwen2-vl")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as staged:
        write(load(arguments.weights, arguments.family), Path(staged))
        replace(Path(staged), arguments.checkpoint)


if __name__ == "__main__":
    main()
