"""Captures the text decoder of a family."""

from __future__ import annotations

import logging
from typing import Any

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
from vlmforge.graph.residual import STREAM_INPUTS
from vlmforge.source.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

DEEPSTACK = "deepstack_"
"""Begins the names of the inputs that layers add to their output."""


def capture_decoder(checkpoint: Checkpoint) -> Graph:
    """A decoder: ``inputs_embeds``, ``position_ids``, ``logits_index`` to logits.

    Where the tower gives further features, ``deepstack_0`` and so on are theirs.

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

    added = deepstack_inputs(checkpoint)
    dims = {
        "inputs_embeds": (1, "seq", sizes.hidden),
        "position_ids": (3, "seq"),
        "logits_index": ("logits",),
        **dict.fromkeys(added, (1, "seq", sizes.hidden)),
    }
    graph = lower(_export(sizes, rope, len(added)), LANGUAGE, resolve, dims, stored.of_node)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "cache_length": len(rope.cos),
        "positions": decoder.positions,
        **({STREAM_INPUTS: list(added)} if added else {}),
    }
    return graph


def deepstack_inputs(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The inputs for the further features of a tower, which the first layers add."""
    tower = checkpoint.family.tower
    if tower is None:
        return ()
    mergers = tower.sizes(checkpoint.settings).mergers
    return tuple(f"{DEEPSTACK}{number}" for number in range(len(mergers)))


def _export(sizes: DecoderSizes, rope: DecoderRope, added: int) -> torch.export.ExportedProgram:
    positions = len(rope.cos)
    with torch.device("meta"):
        table = RopeTable(rope.cos.to("meta"), rope.sin.to("meta"), list(rope.sections))
        module = LanguageModel(sizes, table)
        arguments = (
            torch.empty(1, 7, sizes.hidden),
            torch.empty(3, 7, dtype=torch.int64),
            torch.empty(5, dtype=torch.int64),
            *([tuple(torch.empty(1, 7, sizes.hidden) for _ in range(added))] if added else []),
        )
    seq = torch.export.Dim("seq", min=2, max=positions)
    logits = torch.export.Dim("logits", min=2, max=positions)
    shapes: list[Any] = [{1: seq}, {1: seq}, {0: logits}]
    shapes += [tuple({1: seq} for _ in range(added))] if added else []
    return torch.export.export(module, arguments, dynamic_shapes=tuple(shapes), strict=False)
