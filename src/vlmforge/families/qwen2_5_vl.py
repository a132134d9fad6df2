"""Qwen2.5-VL (arXiv 2502.13923): Qwen2-VL with a tower of RMSNorm, gated MLPs and windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families import qwen2_vl
from vlmforge.families.fields import ANY, DECODER, Fields
from vlmforge.families.size import Size
from vlmforge.families.tower import BLOCKS, TowerSizes, stated_sizes


def _decoder_rotary(settings: Any) -> Any:
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding

    return Qwen2_5_VLRotaryEmbedding(settings)


def _tower_rotary(settings: Any) -> Any:
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLVisionRotaryEmbedding

    return Qwen2_5_VLVisionRotaryEmbedding(settings)


def _tower_sizes(settings: Any) -> TowerSizes:
    part = settings.vision_config
    whole = tuple(part.fullatt_block_indexes)
    return replace(
        stated_sizes(part),
        window=0 if {*range(part.depth)} <= {*whole} else _window(part),
        whole=whole,
        tokens_per_second=part.tokens_per_second,
    )


def _window(part: Any) -> int:
    """Cells along a side of a window."""
    cell = part.spatial_merge_size * part.patch_size
    if part.window_size < cell:
        raise SourceError(
            f"vision_config.window_size is {part.window_size}, less than a group of patches",
            where="config.json",
            mend=f"set it to a multiple of {cell}, as the model was published with",
        )
    return int(part.window_size // part.spatial_merge_size // part.patch_size)


def _tower_stored(settings: Any) -> Iterator[Size]:
    part, block, patch = settings.vision_config, f"{BLOCKS}0.", "visual.patch_embed.proj.weight"
    width = part.hidden_size
    yield Size("hidden_size", width, patch)
    yield Size("temporal_patch_size", part.temporal_patch_size, patch, 2)
    yield Size("patch_size", part.patch_size, patch, 3)
    yield Size("intermediate_size", part.intermediate_size, f"{block}mlp.gate_proj.weight")
    joined = width * part.spatial_merge_size**2
    yield Size("spatial_merge_size", joined, "visual.merger.mlp.0.weight", direct=False)
    yield Size("out_hidden_size", part.out_hidden_size, "visual.merger.mlp.2.weight")


_OTHERWISE = ("embed_dim", "mlp_ratio", "is_causal")
"""Settings of Qwen2-VL's tower that this one has not."""

TOWER_FIELDS: Fields = {
    **{name: fate for name, fate in qwen2_vl.TOWER_FIELDS.items() if name not in _OTHERWISE},
    "fullatt_block_indexes": ANY,
    "intermediate_size": ANY,
    "out_hidden_size": ANY,
    "tokens_per_second": ANY,
    "window_size": ANY,
}

KNOWN = qwen2_vl.FAMILY
assert KNOWN.tower is not None

FAMILY = replace(
    KNOWN,
    architecture="Qwen2_5_VLForConditionalGeneration",
    fields={
        "Qwen2_5_VLTextConfig": DECODER,
        "Qwen2_5_VLConfig": {**DECODER, "text_config": ANY, "vision_config": ANY},
        "Qwen2_5_VLVisionConfig": TOWER_FIELDS,
    },
    decoder=replace(KNOWN.decoder, rotary=_decoder_rotary),
    tower=replace(
        KNOWN.tower,
        sizes=_tower_sizes,
        stored=_tower_stored,
        rotary=_tower_rotary,
        norm="rms_norm",
        mlp="gated",
    ),
    models="Qwen2.5-VL 3B, 7B, 32B, 72B",
    particular=(
        "most blocks of the vision encoder attend within windows; positions of videos tell the time"
    ),
)
