"""Captures Qwen2, a text decoder with plain RoPE and no vision encoder."""

from __future__ import annotations

from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from vlmforge.capture.text import capture_decoder, decoder_sizes, rope_tables
from vlmforge.errors import CaptureError
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import Checkpoint

FIXED_ROPE = ("default", "linear", "yarn")
"""Kinds of RoPE whose angles do not depend on the length of the sequence."""


def capture_language(checkpoint: Checkpoint) -> Graph:
    """The decoder in the form of a vision-language model's: ``position_ids`` is ``[3, seq]``.

    Only the first row of the positions is read, so that one host serves both.

    Raises:
        CaptureError: attention is windowed, or the RoPE depends on the sequence's length.
    """
    config = Qwen2Config.from_dict(checkpoint.config)
    _require_fixed(config)
    sizes = decoder_sizes(config)
    rope = rope_tables(Qwen2RotaryEmbedding(config))
    return capture_decoder(checkpoint, sizes, rope, [sizes.head_dim // 2], "model")


def _require_fixed(config: Qwen2Config) -> None:
    if "sliding_attention" in config.layer_types:
        raise CaptureError(
            "layers with sliding-window attention are not supported",
            where="config.json, use_sliding_window",
            mend="choose a model that attends to the whole sequence",
        )
    kind = config.rope_parameters["rope_type"]
    if kind not in FIXED_ROPE:
        raise CaptureError(
            f"RoPE of the type {kind!r} is not supported",
            where="config.json, rope_parameters",
            mend="use one of " + ", ".join(FIXED_ROPE),
        )
