"""SmolVLM and SmolVLM2 (arXiv 2504.05299): tiles, a SigLIP tower, and Llama."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families import llama
from vlmforge.families.family import Family
from vlmforge.families.fields import (
    ANY,
    DECODER,
    NO_EFFECT,
    TILED_TOWER,
    Token,
)
from vlmforge.families.processor import Processor
from vlmforge.families.size import Size
from vlmforge.families.tower import Tower, TowerSizes, tiled_sizes

TOWER = "visual.vision_model"
LAYER = r"vision_model.encoder.layers.\1"


def _side(number: Any) -> int:
    """The one number of a setting that may be a list."""
    return int(number[0] if isinstance(number, (list, tuple)) else number)


def _tower_sizes(settings: Any) -> TowerSizes:
    part, merge = settings.vision_config, settings.scale_factor
    side, patch = _side(part.image_size), _side(part.patch_size)
    rows = side // patch
    if merge < 1 or rows % merge:
        raise SourceError(
            f"scale_factor is {merge}, and a tile has {rows} patches a side",
            where="config.json",
            mend="take the config.json that the model was published with",
        )
    return tiled_sizes(settings, rows * patch, patch, merge)


def _tower_stored(settings: Any) -> Iterator[Size]:
    part, sizes = settings.vision_config, _tower_sizes(settings)
    patch = f"{TOWER}.embeddings.patch_embedding.weight"
    yield Size("hidden_size", sizes.embed, patch)
    yield Size("patch_size", sizes.patch, patch, 2)
    positions = f"{TOWER}.embeddings.position_embedding.weight"
    yield Size("image_size", sizes.positions, positions, direct=False)
    first = f"{TOWER}.encoder.layers.0."
    yield Size("intermediate_size", part.intermediate_size, f"{first}mlp.fc1.weight")


def _places(side: int) -> Sequence[int]:
    """Which of ``side`` buckets each patch of a side falls into, as transformers rounds."""
    import torch

    bounds = torch.arange(1 / side, 1.0, 1 / side)
    steps = torch.arange(side, dtype=torch.float32) * (1.0 / torch.tensor(side))
    found: list[int] = torch.bucketize(steps.clamp(max=1.0 - 1e-6), bounds, right=True).tolist()
    return found


_DECODER = replace(llama.FAMILY.decoder, settings="text_config", path="model.text_model")

FAMILY = Family(
    architecture="SmolVLMForConditionalGeneration",
    prefixes=(
        ("model.text_model.", "language_model."),
        ("model.vision_model.", "visual.vision_model."),
        ("model.connector.", "visual.connector."),
    ),
    fields={
        **llama.FAMILY.fields,
        "SmolVLMConfig": {
            **DECODER,
            "_pad_token_id": NO_EFFECT,
            "image_token_id": Token(),
            "scale_factor": ANY,
            "text_config": ANY,
            "vision_config": ANY,
        },
        "SmolVLMVisionConfig": TILED_TOWER,
    },
    decoder=_DECODER,
    decoders={"llama": _DECODER},
    tower=Tower(
        _tower_sizes,
        _tower_stored,
        rotary=None,
        names=(
            (r"patch_embed", r"vision_model.embeddings.patch_embedding"),
            (r"blocks\.(\d+)", LAYER),
            (r"blocks\.(\d+)\.norm([12])", rf"{LAYER}.layer_norm\2"),
            (r"blocks\.(\d+)\.attn\.([qkv])", rf"{LAYER}.self_attn.\2_proj"),
            (r"blocks\.(\d+)\.attn\.proj", rf"{LAYER}.self_attn.out_proj"),
            (r"blocks\.(\d+)\.mlp\.(fc[12])", rf"{LAYER}.mlp.\2"),
            (r"blocks\.(\d+)\.mlp\.act", rf"{LAYER}.mlp.activation_fn"),
            (r"merger\.ln_q", r"vision_model.post_layernorm"),
            (r"merger\.fc2", r"connector.modality_projection.proj"),
        ),
        positions="vision_model.embeddings.position_embedding.weight",
        places=_places,
        projection="linear",
        blocks=f"{TOWER}.encoder.layers.",
        raw="vision_model",
        depth="num_hidden_layers",
        heads="num_attention_heads",
        path="model",
        nested=True,
    ),
    processor=Processor(
        whole=("transformers.models.smolvlm.processing_smolvlm", "SmolVLMProcessor"),
        images=(
            "transformers.models.smolvlm.image_processing_pil_smolvlm",
            "SmolVLMImageProcessorPil",
        ),
        shown="unseen",
        tokens="image_seq_len",
        cut="edge",
    ),
    models="SmolVLM and SmolVLM2, 256M, 500M, 2.2B",
    particular="Llama as the decoder; tiles behind their row and column",
)
