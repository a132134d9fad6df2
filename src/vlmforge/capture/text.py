"""Captures the text decoder of a family."""

from __future__ import annotations

import logging

import torch

from vlmforge.capture.decoder import LanguageModel
from vlmforge.capture.lower import lower
from vlmforge.capture.modules import RopeTable
from vlmforge.capture.provenance import provenance
from vlmforge.capture.rope import DecoderRope
from vlmforge.capture.stored import StoredDecoder
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
    rope = DecoderRope.of(decoder, decoder.rotary(part), sizes.head_dim, context)
    stored = StoredDecoder(decoder, sizes, rope, decoder.multipliers(part))
    tables = {
        "model.rotary_emb.cos": Weight.of(rope.cos),
        "model.rotary_emb.sin": Weight.of(rope.sin),
    }

    def resolve(path: str) -> Weight:
        return tables[path] if path in tables else stored.weight(checkpoint, path)

    dims = {
        "inputs_embeds": (1, "seq", sizes.hidden),
        "position_ids": (3, "seq"),
        "logits_index": ("logits",),
    }
    graph = lower(_export(sizes, rope), LANGUAGE, resolve, dims, stored.of_node)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "cache_length": len(rope.cos),
        "positions": decoder.positions,
    }
    return graph


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
