"""Write a trained model as a bfloat16 Hugging Face checkpoint.

`python -m training.export runs/sample/model.pt CHECKPOINT` also takes a stage's `text.pt`,
`joint.pt` or `canvas.pt`. Files already there are replaced one by one, each whole.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import GenerationConfig, Qwen2VLForConditionalGeneration
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from training.canvas import SHOWN
from training.model import VISION, build
from training.tokenizer import token_id, tokenizer

IN_STAGE = "sample."
"""How the last stage names the weights, beside those of its readers."""

PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2VLProcessor",
    "min_pixels": SHOWN[0] ** 2,
    "max_pixels": SHOWN[1] ** 2,
    "patch_size": VISION["patch_size"],
    "temporal_patch_size": VISION["temporal_patch_size"],
    "merge_size": VISION["spatial_merge_size"],
    "image_mean": OPENAI_CLIP_MEAN,
    "image_std": OPENAI_CLIP_STD,
}


def load(path: Path) -> Qwen2VLForConditionalGeneration:
    """Return the model whose weights a training stage or the whole training saved at `path`."""
    state = torch.load(path, weights_only=True)
    weights = state.get("module", state)
    model = build(seed=0)
    named = {name.removeprefix(IN_STAGE): weights[name] for name in weights if IN_STAGE in name}
    model.load_state_dict(named or weights)
    return model.eval()


def write(model: Qwen2VLForConditionalGeneration, folder: Path) -> None:
    """Write weights, configs, tokenizer and preprocessor settings to `folder`."""
    ends = [token_id("<|im_end|>"), token_id("<|endoftext|>")]
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=ends, pad_token_id=ends[1], max_new_tokens=128
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    settings = json.dumps(PREPROCESSOR, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(settings, encoding="utf-8")


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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as staged:
        write(load(arguments.weights), Path(staged))
        replace(Path(staged), arguments.checkpoint)


if __name__ == "__main__":
    main()
