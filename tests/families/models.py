"""Random checkpoints of a family, as ``save_pretrained`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.conftest import (
    GENERATION,
    PLAIN_TEMPLATE,
    PREPROCESSOR,
    random_weights,
    write_json,
    write_tokenizer,
)
from vlmforge.families.family import Family

CONFIGS = Path(__file__).parent / "configs"

NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
"""The special tokens of InternVL that its processor asks for; behind those of Qwen2-VL."""

TILES_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{{- '<IMG_CONTEXT>\\n' -}}
{%- elif part['type'] == 'video' -%}
{{- '<video>\\n' -}}
{%- elif part['type'] == 'text' -%}
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

TILES = {
    "crop_to_patches": False,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "GotOcr2ImageProcessorFast",
    "image_std": [0.229, 0.224, 0.225],
    "max_patches": 4,
    "min_patches": 1,
    "processor_class": "InternVLProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 84, "width": 84},
}
"""The ``preprocessor_config.json`` of InternVL, for small tiles."""


def settings_of(family: Family) -> dict[str, Any]:
    """The ``config.json`` of a tiny checkpoint."""
    settings: dict[str, Any] = json.loads(
        (CONFIGS / f"{family.architecture}.json").read_text("utf-8")
    )
    return settings


def write_model(
    family: Family,
    directory: Path,
    settings: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """A tiny random checkpoint of the family; the directory."""
    config = family.model_class.config_class.from_dict(settings or settings_of(family))
    with torch.device("meta"):
        original = family.model_class(config)
    weights = random_weights(original, 0)
    weights[f"{family.decoder.path}.norm.weight"] /= 4  # small logits: rounding alone costs little
    original = family.model_class(original.config).to(dtype)
    original.load_state_dict(weights, strict=False)
    original.save_pretrained(directory)
    write_json(directory / "generation_config.json", GENERATION)
    if family.tower is None:
        write_tokenizer(directory, PLAIN_TEMPLATE)
    elif family.tower.sizes(original.config).tile is not None:
        write_tokenizer(directory, TILES_TEMPLATE, NAMED)
        write_json(directory / "preprocessor_config.json", TILES)
        write_json(directory / "processor_config.json", {"image_seq_length": 9})
    else:
        write_tokenizer(directory)
        patch = {"patch_size": original.config.vision_config.patch_size}
        write_json(directory / "preprocessor_config.json", PREPROCESSOR | patch)
    return directory
