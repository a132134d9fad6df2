"""InternVL 3 and 3.5 (arXiv 2504.10479, 2508.18265): tiles, an InternViT, and Qwen2 or Qwen3.

The spelling is that of transformers (``InternVL3-1B-hf`` and its like).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families import qwen2, qwen3
from vlmforge.families.decoder import Decoder
from vlmforge.families.family import Family
from vlmforge.families.fields import (
    ANY,
    DECODER,
    FLAG,
    NO_EFFECT,
    TILED_TOWER,
    Fields,
    Only,
    Token,
)
from vlmforge.families.processor import Processor
from vlmforge.families.size import Size
from vlmforge.families.tower import Tower, TowerSizes, tiled_sizes

TOWER = "visual.vision_tower"
LAYER = r"vision_tower.encoder.layer.\1"

PROJECTOR_EPS = 1e-5
"""That of ``torch.nn.LayerNorm``."""


def _tower_sizes(settings: Any) -> TowerSizes:
    part = settings.vision_config
    side, patch = part.image_size[0], part.patch_size[0]
    merge = round(1 / settings.downsample_ratio)
    if side % (patch * merge):
        raise SourceError(
            f"vision_config.image_size is {side}, no whole groups of {patch * merge} pixels",
            where="config.json",
            mend="take the config.json that the model was published with",
        )
    sizes = tiled_sizes(settings, side, patch, merge)
    return replace(
        sizes,
        positions=sizes.positions + 1,
        input_bias=part.attention_bias,
        merger=sizes.hidden,
        merger_eps=PROJECTOR_EPS,
    )


def _tower_stored(settings: Any) -> Iterator[Size]:
    part, sizes = settings.vision_config, _tower_sizes(settings)
    patch = f"{TOWER}.embeddings.patch_embeddings.projection.weight"
    positions = f"{TOWER}.embeddings.position_embeddings"
    yield Size("hidden_size", sizes.embed, patch)
    yield Size("patch_size", sizes.patch, patch, 2, direct=False)
    yield Size("image_size", sizes.positions, positions, 1, direct=False)
    first = f"{TOWER}.encoder.layer.0."
    yield Size("intermediate_size", part.intermediate_size, f"{first}mlp.fc1.weight")


TOWER_FIELDS: Fields = {
    **TILED_TOWER,
    "attention_bias": FLAG,
    "hidden_dropout_prob": NO_EFFECT,
    "layer_scale_init_value": NO_EFFECT,
    "norm_type": Only(("layer_norm",), "choose a model whose tower has LayerNorm"),
    "projection_dropout": NO_EFFECT,
    "use_absolute_position_embeddings": Only((True,), "choose a model with learned positions"),
    "use_mask_token": NO_EFFECT,
    "use_mean_pooling": Only((True,), "choose a model without a norm behind its tower"),
    "use_qk_norm": Only((False,), "choose a model whose tower does not normalize queries"),
}


def _within(decoder: Decoder) -> Decoder:
    """A plain decoder as a part of the model."""
    return replace(decoder, settings="text_config", path="model.language_model")


FAMILY = Family(
    architecture="InternVLForConditionalGeneration",
    prefixes=(
        ("model.language_model.", "language_model."),
        ("model.vision_tower.", "visual.vision_tower."),
        ("model.multi_modal_projector.", "visual.multi_modal_projector."),
        ("language_model.model.", "language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.", "visual.vision_tower."),
        ("multi_modal_projector.", "visual.multi_modal_projector."),
    ),
    fields={
        **qwen2.FAMILY.fields,
        **qwen3.FAMILY.fields,
        "InternVLConfig": {
            **DECODER,
            "downsample_ratio": Only((1.0, 0.5, 0.25), "choose a model with one of 1, 0.5, 0.25"),
            "image_seq_length": ANY,
            "image_token_id": Token(),
            "projector_hidden_act": Only(("gelu",), "choose a model whose projector has GELU"),
            "text_config": ANY,
            "vision_config": ANY,
            "vision_feature_layer": Only((-1,), "choose a model of the tower's last layer"),
            "vision_feature_select_strategy": Only(("default",), "set it to default"),
        },
        "InternVLVisionConfig": TOWER_FIELDS,
    },
    decoder=_within(qwen2.FAMILY.decoder),
    decoders={"qwen2": _within(qwen2.FAMILY.decoder), "qwen3": _within(qwen3.FAMILY.decoder)},
    tower=Tower(
        _tower_sizes,
        _tower_stored,
        rotary=None,
        names=(
            (r"patch_embed", r"vision_tower.embeddings.patch_embeddings.projection"),
            (r"blocks\.(\d+)", LAYER),
            (r"blocks\.(\d+)\.norm1", rf"{LAYER}.layernorm_before"),
            (r"blocks\.(\d+)\.norm2", rf"{LAYER}.layernorm_after"),
            (r"blocks\.(\d+)\.attn\.([qkv])", rf"{LAYER}.attention.\2_proj"),
            (r"blocks\.(\d+)\.attn\.proj", rf"{LAYER}.attention.projection_layer"),
            (r"blocks\.(\d+)\.mlp\.(fc[12])", rf"{LAYER}.mlp.\2"),
            (r"blocks\.(\d+)\.mlp\.act", rf"{LAYER}.mlp.activation_fn"),
            (r"merger\.ln_q", r"multi_modal_projector.layer_norm"),
            (r"merger\.fc([12])", r"multi_modal_projector.linear_\1"),
            (r"merger\.act", r"multi_modal_projector.act"),
        ),
        positions="vision_tower.embeddings.position_embeddings",
        class_token="vision_tower.embeddings.cls_token",
        scales={"attn.proj": "lambda_1", "mlp.fc2": "lambda_2"},
        grouped=True,
        blocks=f"{TOWER}.encoder.layer.",
        raw="vision_tower",
        depth="num_hidden_layers",
        heads="num_attention_heads",
        path="model",
    ),
    processor=Processor(
        whole=("transformers.models.internvl.processing_internvl", "InternVLProcessor"),
        images=(
            "transformers.models.got_ocr2.image_processing_pil_got_ocr2",
            "GotOcr2ImageProcessorPil",
        ),
        shown="unseen",
        around=("<img>", "</img>"),
        tokens="image_seq_length",
    ),
    models="InternVL3 and 3.5, 1B to 38B, as transformers spells them (`-hf`)",
    particular=(
        "Qwen2 or Qwen3 as the decoder; a class token and layer scales in the vision encoder"
    ),
)
