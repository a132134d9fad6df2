"""Qwen2-VL (arXiv 2409.12191): Qwen2 with M-RoPE, and a tower for images of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vlmforge.families.decoder import Decoder
from vlmforge.families.family import Family
from vlmforge.families.fields import (
    ABSENT,
    ACTIVATION,
    ANY,
    COMMON,
    DECODER,
    NO_EFFECT,
    Fields,
    Only,
    Whole,
)
from vlmforge.families.size import Size
from vlmforge.families.tower import BLOCKS, Tower, TowerSizes


def _decoder_rotary(settings: Any) -> Any:
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding

    return Qwen2VLRotaryEmbedding(settings)


def _tower_rotary(settings: Any) -> Any:
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLVisionRotaryEmbedding

    return Qwen2VLVisionRotaryEmbedding(settings)


def _tower_sizes(settings: Any) -> TowerSizes:
    part = settings.vision_config
    return TowerSizes(
        embed=part.embed_dim,
        depth=part.depth,
        heads=part.num_heads,
        mlp=int(part.embed_dim * part.mlp_ratio),
        hidden=part.hidden_size,
        patch=part.patch_size,
        channels=part.in_channels,
        frames=part.temporal_patch_size,
        merge=part.spatial_merge_size,
        activation=part.hidden_act,
    )


def _tower_stored(settings: Any) -> Iterator[Size]:
    part, block, patch = settings.vision_config, f"{BLOCKS}0.", "visual.patch_embed.proj.weight"
    embed = part.embed_dim
    yield Size("embed_dim", embed, patch)
    yield Size("temporal_patch_size", part.temporal_patch_size, patch, 2)
    yield Size("patch_size", part.patch_size, patch, 3)
    yield Size("mlp_ratio", int(embed * part.mlp_ratio), f"{block}mlp.fc1.weight", direct=False)
    joined = embed * part.spatial_merge_size**2
    yield Size("spatial_merge_size", joined, "visual.merger.mlp.0.weight", direct=False)
    yield Size("hidden_size", part.hidden_size, "visual.merger.mlp.2.weight")


TOWER_FIELDS: Fields = {
    **COMMON,
    "depth": ANY,
    "embed_dim": ANY,
    "hidden_act": ACTIVATION,
    "hidden_size": ANY,
    "in_channels": Only((3,), "choose a model of pictures in red, green and blue"),
    "in_chans": NO_EFFECT,
    "is_causal": ABSENT,
    "mlp_ratio": ANY,
    "num_heads": ANY,
    "patch_size": Whole(),
    "rope_parameters": ANY,
    "spatial_merge_size": ANY,
    "spatial_patch_size": NO_EFFECT,
    "temporal_patch_size": Whole(),
}

FAMILY = Family(
    architecture="Qwen2VLForConditionalGeneration",
    prefixes=(
        ("model.language_model.model.", "language_model."),
        ("model.language_model.", "language_model."),
        ("model.visual.", "visual."),
        ("model.model.", "language_model."),
        ("model.", "language_model."),
    ),
    fields={
        "Qwen2VLTextConfig": DECODER,
        "Qwen2VLConfig": {**DECODER, "text_config": ANY, "vision_config": ANY},
        "Qwen2VLVisionConfig": TOWER_FIELDS,
    },
    decoder=Decoder(
        _decoder_rotary, settings="text_config", path="model.language_model", positions="mrope"
    ),
    tower=Tower(
        _tower_sizes,
        _tower_stored,
        _tower_rotary,
        names=(
            ("patch_embed", "patch_embed.proj"),
            ("merger.fc1", "merger.mlp.0"),
            ("merger.act", "merger.mlp.1"),
            ("merger.fc2", "merger.mlp.2"),
        ),
        fused="attn.qkv",
    ),
    models="Qwen2-VL 2B, 7B, 72B",
    particular="M-RoPE",
)
