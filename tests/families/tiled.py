"""Tokenizers, templates and processors of tiny models that cut images into tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import write_json, write_tokenizer

PARTS = """\
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{{- IMAGE -}}
{%- elif part['type'] == 'video' -%}
{{- '<video>' -}}
{%- elif part['type'] == 'text' -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
"""

INTERNVL = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
PARTS
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
""".replace("PARTS", PARTS.replace("IMAGE", "'<IMG_CONTEXT>\\n'"))

SMOLVLM = """\
{{- '<|im_start|>' -}}
{%- for message in messages -%}
{{- message['role'] | capitalize -}}
{%- if message['content'][0]['type'] == 'image' -%}
{{- ':' -}}
{%- else -%}
{{- ': ' -}}
{%- endif -%}
PARTS
{{- '<end_of_utterance>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- 'Assistant:' -}}
{%- endif -%}
""".replace("PARTS", PARTS.replace("IMAGE", "'<image>'"))

PICTURES = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 0.00392156862745098,
}


@dataclass(frozen=True)
class Tiled:
    """What lies beside the weights.

    Attributes:
        template: of chats.
        named: further special tokens, as transformers' processor looks for them.
        pictures: ``preprocessor_config.json``.
        whole: ``processor_config.json``.
    """

    template: str
    named: Mapping[str, str]
    pictures: Mapping[str, Any]
    whole: Mapping[str, Any]

    def write(self, directory: Path) -> None:
        """Write the files; tiles have 84 x 84 pixels, which are nine tokens, or four."""
        write_tokenizer(directory, self.template, self.named)
        write_json(directory / "preprocessor_config.json", {**PICTURES, **self.pictures})
        write_json(directory / "processor_config.json", self.whole)


PLACES = {
    f"place_{row}_{column}": f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)
}

TILED = {
    "InternVLForConditionalGeneration": Tiled(
        INTERNVL,
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        {
            "crop_to_patches": False,
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "max_patches": 4,
            "min_patches": 1,
            "processor_class": "InternVLProcessor",
            "resample": 3,
            "size": {"height": 84, "width": 84},
        },
        {"image_seq_length": 9},
    ),
    "SmolVLMForConditionalGeneration": Tiled(
        SMOLVLM,
        {
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "end_of_utterance_token": "<end_of_utterance>",
            "global_image_token": "<global-img>",
            **PLACES,
        },
        {
            "do_image_splitting": True,
            "do_pad": True,
            "image_processor_type": "SmolVLMImageProcessor",
            "max_image_size": {"longest_edge": 84},
            "processor_class": "SmolVLMProcessor",
            "resample": 1,
            "size": {"longest_edge": 168},
        },
        {"image_seq_len": 4},
    ),
}
"""The families that cut images into tiles, by their architectures."""
