"""Qwen3-VL (arXiv 2511.21631): Qwen3 with interleaved M-RoPE and DeepStack, and a tower for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vlmforge.families.decoder import Decoder, stated_biases
from vlmforge.families.family import Family
from vlmforge.families.fields import (
    ABSENT,
    ACTIVATION,
    ANY,
    COMMON,
    DECODER,
    FLAG,
    Fields,
    Only,
    Whole,
)
from vlmforge.families.processor import Processor
from vlmforge.families.size import Size
from vlmforge.families.tower import BLOCKS, Tower, TowerSizes, stated_sizes

PROCESSING = "transformers.models.qwen3_vl.processing_qwen3_vl"


def _decoder_rotary(settings: Any) -> Any:
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

    return Qwen3VLTextRotaryEmbedding(settings)


def _tower_rotary(settings: Any) -> Any:
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionRotaryEmbedding

    return Qwen3VLVisionRotaryEmbedding(settings)


def _tower_sizes(settings: Any) -> TowerSizes:
    part = settings.vision_config
    return replace(
        stated_sizes(part),
        patch_bias=True,
        positions=part.num_position_embeddings,
        deepstack=tuple(part.deepstack_visual_indexes),
    )


def _tower_stored(settings: Any) -> Iterator[Size]:
    part, block, patch = settings.vision_config, f"{BLOCKS}0.", "visual.patch_embed.proj.weight"
    embed = part.hidden_size
    yield Size("hidden_size", embed, patch)
    yield Size("temporal_patch_size", part.temporal_patch_size, patch, 2)
    yield Size("patch_size", part.patch_size, patch, 3)
    yield Size("num_position_embeddings", part.num_position_embeddings, "visual.pos_embed.weight")
    yield Size("intermediate_size", part.intermediate_size, f"{block}mlp.linear_fc1.weight")
    joined = embed * part.spatial_merge_size**2
    yield Size("spatial_merge_size", joined, "visual.merger.linear_fc1.weight", direct=False)
    yield Size("out_hidden_size", part.out_hidden_size, "visual.merger.linear_fc2.weight")


TOWER_FIELDS: Fields = {
    **COMMON,
    "deepstack_visual_indexes": ANY,
    "depth": ANY,
    "hidden_act": ACTIVATION,
    "hidden_size": ANY,
    "in_channels": Only((3,), "choose a model of pictures in red, green and blue"),
    "intermediate_size": ANY,
    "is_causal": ABSENT,
    "num_heads": ANY,
    "num_position_embeddings": ANY,
    "out_hidden_size": ANY,
    "patch_size": Whole(),
    "rope_parameters": ANY,
    "spatial_merge_size": ANY,
    "temporal_patch_size": Whole(),
}

_HALVES = [0.5, 0.5, 0.5]

FAMILY = Family(
    architecture="Qwen3VLForConditionalGeneration",
    prefixes=(
        ("model.language_model.", "language_model."),
        ("model.visual.", "visual."),
        ("language_model.", "language_model."),
    ),
    fields={
        "Qwen3VLTextConfig": {**DECODER, "attention_bias": FLAG},
        "Qwen3VLConfig": {
            **DECODER,
            "text_config": ANY,
            "vision_config": ANY,
        },
        "Qwen3VLVisionConfig": TOWER_FIELDS,
    },
    decoder=Decoder(
        _decoder_rotary,
        settings="text_config",
        path="model.language_model",
        positions="mrope",
        interleaved=True,
        biases=stated_biases,
        head_norms=True,
    ),
    tower=Tower(
        _tower_sizes,
        _tower_stored,
        _tower_rotary,
        names=(
            (r"patch_embed", r"patch_embed.proj"),
            (r"(blocks\.\d+\.mlp)\.(fc[12])", r"\1.linear_\2"),
            (r"(blocks\.\d+\.mlp)\.act", r"\1.act_fn"),
            (r"merger\.ln_q", r"merger.norm"),
            (r"merger\.(fc[12])", r"merger.linear_\1"),
            (r"merger\.act", r"merger.act_fn"),
            (r"deepstack\.(\d+)\.ln_q", r"deepstack_merger_list.\1.norm"),
            (r"deepstack\.(\d+)\.(fc[12])", r"deepstack_merger_list.\1.linear_\2"),
            (r"deepstack\.(\d+)\.act", r"deepstack_merger_list.\1.act_fn"),
        ),
        fused="attn.qkv",
    ),
    processor=Processor(
        whole=(PROCESSING, "Qwen3VLProcessor"),
        shown="timed",
        videos={
            "image_mean": _HALVES,
            "image_std": _HALVES,
            "size": {"shortest_edge": 128 * 32 * 32, "longest_edge": 768 * 32 * 32},
            "fps": 2,
            "min_frames": 4,
            "max_frames": 768,
            "max_video_tokens": 768,
        },
    ),
    models="Qwen3-VL 2B, 4B, 8B, 32B",
    particular=(
        "without experts; learned positions; early layers add features of their own (DeepStack)"
    ),
)
