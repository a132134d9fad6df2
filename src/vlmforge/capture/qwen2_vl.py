"""Captures Qwen2-VL: the text decoder and the vision encoder, by their checkpoint names."""

from __future__ import annotations

import re

import torch
from torch import Tensor
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import (
    Qwen2VLRotaryEmbedding,
    Qwen2VLVisionRotaryEmbedding,
)

from vlmforge.capture.encoder import EncoderSizes, VisionEncoder
from vlmforge.capture.lower import lower
from vlmforge.capture.text import (
    capture_decoder,
    decoder_sizes,
    original_module,
    provenance,
    rope_tables,
)
from vlmforge.errors import CaptureError
from vlmforge.graph.core import Graph, Weight
from vlmforge.source.checkpoint import Checkpoint


def capture_language(checkpoint: Checkpoint) -> Graph:
    """The text decoder: ``inputs_embeds``, ``position_ids``, ``logits_index`` to logits."""
    config = checkpoint.settings.text_config
    rotary, sizes = Qwen2VLRotaryEmbedding(config), decoder_sizes(config)
    sections = list(rotary.mrope_section)
    return capture_decoder(checkpoint, sizes, rope_tables(rotary), sections, "model.language_model")


def capture_vision(checkpoint: Checkpoint, image_size: tuple[int, int] = (224, 224)) -> Graph:
    """The vision encoder for images of one size: ``images`` to features for the decoder."""
    config = checkpoint.settings.vision_config
    sizes = _encoder_sizes(config)
    rows = grid_rope_rows(config, image_size)
    groups = len(rows) // sizes.merge**2
    shape = (groups * sizes.patch, sizes.merge**2 * sizes.patch, sizes.channels)
    with torch.device("meta"):
        module = VisionEncoder(sizes, rows.to("meta"))
        arguments = (torch.empty(shape),)
    exported = torch.export.export(module, arguments, strict=False)

    def resolve(path: str) -> Weight:
        return Weight.of(rows) if path == "model.rope_rows" else vision_weight(checkpoint, path)

    graph = lower(exported, "vision", resolve, {"images": shape}, _original_vision_module)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "image_size": list(image_size),
        "patch_size": sizes.patch,
        "merge_size": sizes.merge,
        "temporal_patch_size": config.temporal_patch_size,
    }
    return graph


def grid_rope_rows(config: Qwen2VLVisionConfig, image_size: tuple[int, int]) -> Tensor:
    """cos and sin ``[patches, 2, head_dim]`` of a grid whose patches are in merge-group order."""
    merge, patch = config.spatial_merge_size, config.patch_size
    if any(side % (patch * merge) for side in image_size):
        raise CaptureError(
            f"an image of {image_size[0]}x{image_size[1]} is not whole groups of {merge} patches",
            mend=f"choose a height and a width that are multiples of {patch * merge}",
        )
    height, width = (side // patch for side in image_size)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grouped = [
        axis.reshape(height // merge, merge, width // merge, merge).transpose(1, 2).flatten()
        for axis in (y, x)
    ]
    positions = torch.stack(grouped, dim=1)
    cos, sin = Qwen2VLVisionRotaryEmbedding(config)(torch.empty(0), positions)
    return torch.stack([cos, sin], dim=1).float()


def vision_weight(checkpoint: Checkpoint, path: str) -> Weight:
    """The checkpoint's weight for a path of :class:`VisionEncoder`.

    Fused qkv rows are split, the 3D patch convolution ``[out, 3, 2, p, p]`` becomes 2D
    channels-last ``[out, p, p, 6]``, and ``merger.fc1``, ``fc2`` are ``merger.mlp.0``, ``.2``.
    """
    name = re.sub(r"^model\.", "visual.", path)
    name = name.replace("merger.fc1", "merger.mlp.0").replace("merger.fc2", "merger.mlp.2")
    if name == "visual.patch_embed.weight":
        return _flat_convolution(checkpoint.weight("visual.patch_embed.proj.weight"))
    split = re.fullmatch(r"(.*\.attn)\.([qkv])\.(weight|bias)", name)
    if split is None:
        return checkpoint.weight(name)
    fused = checkpoint.weight(f"{split[1]}.qkv.{split[3]}")
    size = fused.shape[0] // 3
    offset = "qkv".index(split[2]) * size
    return Weight(
        (size, *fused.shape[1:]),
        lambda start, stop: fused.read(offset + start, offset + stop),
        fused.dtype,
    )


def _flat_convolution(weight: Weight) -> Weight:
    out, channels, frames, height, width = weight.shape

    def flat(rows: Tensor) -> Tensor:
        return rows.flatten(1, 2).permute(0, 2, 3, 1).contiguous()

    shape = (out, height, width, channels * frames)
    return Weight(shape, lambda start, stop: flat(weight.read(start, stop)), weight.dtype)


def _encoder_sizes(config: Qwen2VLVisionConfig) -> EncoderSizes:
    return EncoderSizes(
        embed=config.embed_dim,
        depth=config.depth,
        heads=config.num_heads,
        mlp=int(config.embed_dim * config.mlp_ratio),
        hidden=config.hidden_size,
        patch=config.patch_size,
        channels=config.in_channels * config.temporal_patch_size,
        merge=config.spatial_merge_size,
        activation=config.hidden_act,
    )


_VISION_MODULES = (
    (r"model_patch_embed", r"model.visual.patch_embed"),
    (r"model_blocks_(\d+)_(norm[12])", r"model.visual.blocks.\1.\2"),
    (r"model_blocks_(\d+)_attn_proj", r"model.visual.blocks.\1.attn.proj"),
    (r"model_blocks_(\d+)_mlp_(fc[12]|act)", r"model.visual.blocks.\1.mlp.\2"),
    (r"model_blocks_(\d+)/add_1", r"model.visual.blocks.\1"),
    (r"model_merger_ln_q", r"model.visual.merger.ln_q"),
    (r"model_merger_fc1", r"model.visual.merger.mlp.0"),
    (r"model_merger_act", r"model.visual.merger.mlp.1"),
    (r"model_merger_fc2", r"model.visual.merger.mlp.2"),
)


def _original_vision_module(node: str) -> str | None:
    return original_module(node, _VISION_MODULES)
