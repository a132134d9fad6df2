"""Captures the text decoder of a family."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from vlmforge.capture.decoder import LanguageModel
from vlmforge.capture.lower import lower
from vlmforge.capture.modules import RopeTable
from vlmforge.capture.original import module_of
from vlmforge.capture.provenance import provenance
from vlmforge.families.decoder import DecoderSizes
from vlmforge.families.family import LANGUAGE
from vlmforge.graph.core import Graph, Weight
from vlmforge.source.checkpoint import Checkpoint

POSITIONS = 16384
"""Rows of the cached RoPE table, and so the longest sequence."""


def capture_decoder(checkpoint: Checkpoint) -> Graph:
    """A decoder: ``inputs_embeds``, ``position_ids``, ``logits_index`` to logits.

    ``position_ids`` is ``[3, seq]`` for every family, so that one host serves all; where a position
    is a single number, only the first row is read.
    """
    decoder = checkpoint.family.decoder
    part = decoder.part(checkpoint.settings)
    sizes, rotary = decoder.sizes(part), decoder.rotary(part)
    rope = rope_tables(rotary)
    mrope = decoder.positions == "mrope"
    sections = list(rotary.mrope_section) if mrope else [sizes.head_dim // 2]
    cos, sin = (Weight.of(table) for table in rope)
    tables = {"model.rotary_emb.cos": cos, "model.rotary_emb.sin": sin}

    def resolve(path: str) -> Weight:
        if path in tables:
            return tables[path]
        return checkpoint.weight(re.sub(r"^model\.", "language_model.", path))

    def module(node: str) -> str | None:
        found = module_of(node, _MODULES)
        return found if found is None else found.replace("PATH", decoder.path)

    dims = {
        "inputs_embeds": (1, "seq", sizes.hidden),
        "position_ids": (3, "seq"),
        "logits_index": ("logits",),
    }
    graph = lower(_export(sizes, rope, sections), LANGUAGE, resolve, dims, module)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "cache_length": len(rope[0]),
        "positions": decoder.positions,
    }
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


_MODULES = (
    (r"model_layers_(\d+)_self_attn_([qkvo]_proj)", r"PATH.layers.\1.self_attn.\2"),
    (r"model_layers_(\d+)_mlp_(\w+)", r"PATH.layers.\1.mlp.\2"),
    (r"model_layers_(\d+)_(\w+_layernorm)", r"PATH.layers.\1.\2"),
    (r"model_layers_(\d+)/add_1", r"PATH.layers.\1"),
    (r"model_norm", r"PATH.norm"),
    (r"lm_head", r"lm_head"),
)
