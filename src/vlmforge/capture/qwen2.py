"""Captures Qwen2, a text decoder with plain RoPE and no vision encoder."""

from __future__ import annotations

from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from vlmforge.capture.text import capture_decoder, decoder_sizes, rope_tables
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import Checkpoint


def capture_language(checkpoint: Checkpoint) -> Graph:
    """The decoder in the form of a vision-language model's: ``position_ids`` is ``[3, seq]``.

    Only the first row of the positions is read, so that one host serves both.
    """
    config = checkpoint.settings
    sizes = decoder_sizes(config)
    rope = rope_tables(Qwen2RotaryEmbedding(config))
    return capture_decoder(checkpoint, sizes, rope, [sizes.head_dim // 2], "model")
