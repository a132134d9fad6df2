"""Captures a text decoder from its sizes and RoPE tables; model families supply those."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from vlmforge.capture.decoder import DecoderSizes, LanguageModel
from vlmforge.capture.lower import lower
from vlmforge.capture.modules import RopeTable
from vlmforge.graph.core import Graph, Weight
from vlmforge.source.checkpoint import Checkpoint

POSITIONS = 16384
"""Rows of the cached RoPE table, and so the longest sequence."""


def capture_decoder(
    checkpoint: Checkpoint,
    sizes: DecoderSizes,
    rope: tuple[Tensor, Tensor],
    sections: list[int],
    original: str,
) -> Graph:
    """A decoder: ``inputs_embeds``, ``position_ids``, ``logits_index`` to logits.

    Args:
        checkpoint: holds the weights.
        sizes: of the decoder.
        rope: cos and sin, float32 ``[positions, head_dim / 2]``.
        sections: frequencies that take the temporal, height and width position (M-RoPE); a
            single section is plain RoPE, which reads the first row of ``position_ids`` alone.
        original: path of the decoder in the original model, such as ``model``.
    """
    cos, sin = rope
    tables = {"model.rotary_emb.cos": Weight.of(cos), "model.rotary_emb.sin": Weight.of(sin)}

    def resolve(path: str) -> Weight:
        if path in tables:
            return tables[path]
        return checkpoint.weight(re.sub(r"^model\.", "language_model.", path))

    def module(node: str) -> str | None:
        return original_module(node, _MODULES, original)

    dims = {
        "inputs_embeds": (1, "seq", sizes.hidden),
        "position_ids": (3, "seq"),
        "logits_index": ("logits",),
    }
    exported = _export(sizes, rope, sections)
    graph = lower(exported, "language", resolve, dims, module)
    graph.meta = {**provenance(checkpoint, sizes.hidden), "cache_length": len(cos)}
    return graph


def _export(
    sizes: DecoderSizes, rope: tuple[Tensor, Tensor], sections: list[int]
) -> torch.export.ExportedProgram:
    positions = len(rope[0])
    with torch.device("meta"):
        table = RopeTable(rope[0].to("meta"), rope[1].to("meta"), sections)
        module = LanguageModel(sizes, table)
        arguments = (
            torch.empty(1, 7, sizes.hidden),
            torch.empty(3, 7, dtype=torch.int64),
            torch.empty(5, dtype=torch.int64),
        )
    seq = torch.export.Dim("seq", min=2, max=positions)
    logits = torch.export.Dim("logits", min=2, max=positions)
    shapes = ({1: seq}, {1: seq}, {0: logits})
    return torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)


def rope_tables(rotary: Any, positions: int = POSITIONS) -> tuple[Tensor, Tensor]:
    """cos and sin ``[positions, head_dim / 2]``, float32, as Hugging Face's module computes them.

    Args:
        rotary: a rotary embedding module, with ``inv_freq`` and ``attention_scaling``.
        positions: rows of the tables.
    """
    angles = torch.arange(positions)[:, None].float() * rotary.inv_freq[None]
    return angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling


def decoder_sizes(config: Any) -> DecoderSizes:
    """The sizes in Hugging Face's configuration of a text model."""
    heads = config.num_attention_heads
    return DecoderSizes(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        eps=config.rms_norm_eps,
        activation=config.hidden_act,
    )


def provenance(checkpoint: Checkpoint, hidden: int) -> dict[str, Any]:
    """What every graph's ``meta`` says of the model; ``hidden`` is the decoder's width."""
    return {
        "model": checkpoint.model_id,
        "model_name": checkpoint.name,
        "model_fingerprint": checkpoint.fingerprint(),
        "hidden_size": hidden,
    }


def original_module(node: str, table: tuple[tuple[str, str], ...], prefix: str = "") -> str | None:
    """The module path that the first matching pattern gives for a node's name, or None.

    ``PREFIX`` in a path stands for ``prefix``.
    """
    for pattern, module in table:
        if match := re.fullmatch(pattern, node):
            return match.expand(module).replace("PREFIX", prefix)
    return None


_MODULES = (
    (r"model_layers_(\d+)_self_attn_([qkvo]_proj)", r"PREFIX.layers.\1.self_attn.\2"),
    (r"model_layers_(\d+)_mlp_(\w+)", r"PREFIX.layers.\1.mlp.\2"),
    (r"model_layers_(\d+)_(\w+_layernorm)", r"PREFIX.layers.\1.\2"),
    (r"model_layers_(\d+)/add_1", r"PREFIX.layers.\1"),
    (r"model_norm", r"PREFIX.norm"),
    (r"lm_head", r"lm_head"),
)
