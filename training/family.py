"""The families of the sample models, and what one has that the others have not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import (
    InternVLForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)

from training.tokenizer import VOCABULARY
from vlmforge.images.cuts import NearestShape
from vlmforge.images.patches import PatchLayout
from vlmforge.images.tiles import Tiles

PATCH, MERGE = 14, 2
"""Side of a patch in pixels, of a merged token in patches.

The same in all families, so that they are shown the same canvases. With 28 pixels a token, even the
smallest item covers the middle of one; with Qwen3-VL's own 32 it may lie between them.
"""

WIDTH = 256
"""Channels of the text model's stream, and of the features it is given."""

TILE = 8 * PATCH
"""Side in pixels of a tile, where pictures are cut into some."""

_HALVES = (0.5, 0.5, 0.5)

_VISION = {
    "depth": 4,
    "num_heads": 4,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
}

_TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "bos_token_id": None,
}

_ROPE = {"rope_type": "default", "rope_theta": 10.0}
"""The low `rope_theta` lets the height and width sections tell apart eight rows and columns."""


@dataclass(frozen=True)
class Family:
    """What makes the sample model of one family.

    Attributes:
        model: transformers' class.
        vision, text: settings of the two parts.
        mean, std: of a picture's channels, each between 0 and 1.
        videos: settings of the video processor, if the family has one of its own.
        tiles: what pictures are cut into, unless they are seen whole.
        tokens: the family's own names of special tokens, and what its processor calls them, if it
            writes all that stands around an image.
    """

    model: type[PreTrainedModel]
    vision: Mapping[str, Any]
    text: Mapping[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    videos: Mapping[str, Any] = field(default_factory=dict)
    tiles: Tiles | None = None
    tokens: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def mrope(self) -> bool:
        """Whether a token has positions on three axes."""
        return "mrope_section" in self.text["rope_parameters"]

    @property
    def processor(self) -> str:
        """The class of the processor of text and images."""
        return self.model.__name__.replace("ForConditionalGeneration", "Processor")


FAMILIES = {
    "qwen2-vl": Family(
        model=Qwen2VLForConditionalGeneration,
        vision=_VISION
        | {"embed_dim": 128, "mlp_ratio": 4, "hidden_size": WIDTH, "hidden_act": "quick_gelu"},
        text=_TEXT
        | {"max_window_layers": 4, "rope_parameters": _ROPE | {"mrope_section": [8, 12, 12]}},
        mean=tuple(OPENAI_CLIP_MEAN),
        std=tuple(OPENAI_CLIP_STD),
    ),
    "qwen2.5-vl": Family(
        model=Qwen2_5_VLForConditionalGeneration,
        vision=_VISION
        | {
            "hidden_size": 128,
            "intermediate_size": 342,
            "out_hidden_size": WIDTH,
            "hidden_act": "silu",
            "window_size": 4 * MERGE * PATCH,
            "fullatt_block_indexes": [1, 3],
        },
        text=_TEXT
        | {"max_window_layers": 4, "rope_parameters": _ROPE | {"mrope_section": [8, 12, 12]}},
        mean=tuple(OPENAI_CLIP_MEAN),
        std=tuple(OPENAI_CLIP_STD),
    ),
    "qwen3-vl": Family(
        model=Qwen3VLForConditionalGeneration,
        vision=_VISION
        | {
            "hidden_size": 128,
            "intermediate_size": 512,
            "out_hidden_size": WIDTH,
            "hidden_act": "gelu_pytorch_tanh",
            "num_position_embeddings": 16**2,
            "deepstack_visual_indexes": [1, 2],
        },
        text=_TEXT
        | {
            "head_dim": 64,
            "rope_parameters": _ROPE | {"mrope_interleaved": True, "mrope_section": [12, 10, 10]},
        },
        mean=_HALVES,
        std=_HALVES,
        videos={"video_processor_type": "Qwen3VLVideoProcessor", "fps": 2, "min_frames": 4},
    ),
    "internvl": Family(
        model=InternVLForConditionalGeneration,
        vision={
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 512,
            "patch_size": PATCH,
            "image_size": TILE,
            "attention_bias": True,
        },
        text=_TEXT
        | {
            "model_type": "qwen2",
            "max_window_layers": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        mean=tuple(IMAGENET_DEFAULT_MEAN),
        std=tuple(IMAGENET_DEFAULT_STD),
        tiles=Tiles(PatchLayout(PATCH, MERGE, 1), TILE, TILE, NearestShape(1, 12)),
        tokens={
            "<|vision_start|>": ("<img>", "start_image_token"),
            "<|vision_end|>": ("</img>", "end_image_token"),
            "<|image_pad|>": ("<IMG_CONTEXT>", "context_image_token"),
            "<|video_pad|>": ("<video>", "video_token"),
        },
    ),
}
"""By the name that the command line has for them."""


def family_of(model: PreTrainedModel) -> Family:
    """Return the family of a model."""
    return next(kind for kind in FAMILIES.values() if kind.model is type(model))
