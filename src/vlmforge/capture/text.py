"""Captures the text decoder of a family."""

from __future__ import annotations

import logging
import re

import torch

from vlmforge.capture.decoder import LanguageModel
from vlmforge.capture.lower import lower
from vlmforge.capture.modules import RopeTable
from vlmforge.capture.original import Counterpart, module_of
from vlmforge.capture.provenance import provenance
from vlmforge.capture.rope import DecoderRope
from vlmforge.families.decoder import DecoderSizes
from vlmforge.families.family import LANGUAGE
from vlmforge.graph.core import Graph, Weight
from vlmforge.source.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


def capture_decoder(checkpoint: Checkpoint) -> Graph:
    """A decoder: ``inputs_embeds``, ``position_ids``, ``logits_index`` to logits.

    ``position_ids`` is ``[3, seq]`` for every family, so that one host serves all; where a position
    is a single number, only the first row is read.
    """
    decoder = checkpoint.family.decoder
    part = decoder.part(checkpoint.settings)
    sizes, (context, limit) = decoder.sizes(part), checkpoint.context
    if limit is not None:
        logger.warning("%s is %d: the package takes no more tokens", limit, context)
    rope = DecoderRope.of(decoder, decoder.rotary(part), context)
    tables = {
        "model.rotary_emb.cos": Weight.of(rope.cos),
        "model.rotary_emb.sin": Weight.of(rope.sin),
    }

    def resolve(path: str) -> Weight:
        return tables[path] if path in tables else decoder_weight(checkpoint, sizes, rope, path)

    def module(node: str) -> str | None:
        found = module_of(node, _MODULES)
        if found is None:
            return None
        return str(counterpart(found.replace("PATH", decoder.path), rope))

    dims = {
        "inputs_embeds": (1, "seq", sizes.hidden),
        "position_ids": (3, "seq"),
        "logits_index": ("logits",),
    }
    graph = lower(_export(sizes, rope), LANGUAGE, resolve, dims, module)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "cache_length": len(rope.cos),
        "positions": decoder.positions,
    }
    return graph


def counterpart(module: str, rope: DecoderRope) -> Counterpart:
    """What of the original's module of that path a module of the traceable decoder gives."""
    turned = re.search(r"\.[qk]_(proj|norm)$", module) is not None
    return Counterpart(module, order=rope.order if turned else None)


def decoder_weight(
    checkpoint: Checkpoint, sizes: DecoderSizes, rope: DecoderRope, path: str
) -> Weight:
    """The checkpoint's weight for a path of :class:`vlmforge.capture.decoder.LanguageModel`.

    Queries and keys have their channels where the machine's RoPE takes them from. The gains of a
    head's norm are those of every head.
    """
    module, _, role = re.sub(r"^model\.", "language_model.", path).rpartition(".")
    found = counterpart(module, rope)
    weight = found.weight(checkpoint.weight(f"{found.module}.{role}"))
    heads = {"q_norm": sizes.heads, "k_norm": sizes.kv_heads}.get(module.rpartition(".")[2])
    if heads is None:
        return weight
    return weight.map(lambda gains: gains.repeat(heads), (heads * weight.shape[0],))


def _export(sizes: DecoderSizes, rope: DecoderRope) -> torch.export.ExportedProgram:
    positions = len(rope.cos)
    with torch.device("meta"):
        table = RopeTable(rope.cos.to("meta"), rope.sin.to("meta"), list(rope.sections))
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


_MODULES = (
    (r"model_layers_(\d+)_self_attn_([qkvo]_proj|[qk]_norm)", r"PATH.layers.\1.self_attn.\2"),
    (r"model_layers_(\d+)_mlp_(\w+)", r"PATH.layers.\1.mlp.\2"),
    (r"model_layers_(\d+)_(\w+_layernorm)", r"PATH.layers.\1.\2"),
    (r"model_layers_(\d+)/add_1", r"PATH.layers.\1"),
    (r"model_norm", r"PATH.norm"),
    (r"lm_head", r"lm_head"),
)
