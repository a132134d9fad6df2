"""Every RoPE in the machine's form gives the scores of transformers' own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Phi3Config, Qwen3VLTextConfig
from transformers.models.phi3 import modeling_phi3 as phi3
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen3_vl

from vlmforge.capture.original import Counterpart
from vlmforge.capture.rope import DecoderRope
from vlmforge.families.decoder import Decoder
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.evaluate import evaluate

ROWS, HEADS = 50, 2


def positions() -> Tensor:
    steps = torch.arange(ROWS)
    return torch.stack([steps // 3, 7 + steps % 11, 40 - steps % 13])


def turned(rope: DecoderRope, x: Tensor, position_ids: Tensor) -> Tensor:
    """``[ROWS, HEADS * D]`` with its channels in the rope's order, turned as the machine does."""
    x = Counterpart("", order=rope.order).of(x)
    head_dim = x.shape[1] // HEADS
    nodes = (
        Node(
            "rows",
            "rope_lookup",
            ("position_ids",),
            (ROWS, 2, head_dim),
            {"cos": "cos", "sin": "sin"},
            {"sections": list(rope.sections)},
        ),
        Node("y", "rope", ("x", "rows"), tuple(x.shape), {}, {"head_dim": head_dim}),
    )
    graph = Graph(
        "language",
        {"x": Value("x", tuple(x.shape)), "position_ids": Value("position_ids", (3, ROWS))},
        {node.name: node for node in nodes},
        ("y",),
        {"cos": Weight.of(rope.cos), "sin": Weight.of(rope.sin)},
    )
    return evaluate(graph, {"x": x, "position_ids": position_ids})["y"]


def scores(query: Tensor, key: Tensor) -> Tensor:
    first, second = (x.unflatten(1, (HEADS, -1)).transpose(0, 1).double() for x in (query, key))
    return first @ second.mT


def original(module: Any, apply: Any, x: Tensor, position_ids: Tensor) -> Tensor:
    """What transformers makes of ``[ROWS, HEADS * D]``."""
    cos, sin = module(x, position_ids)
    heads = x.unflatten(1, (HEADS, -1)).transpose(0, 1)[None]
    return apply(heads, heads, cos, sin)[0][0].transpose(0, 1).flatten(1)


def test_axes_that_take_turns() -> None:
    settings = Qwen3VLTextConfig(
        hidden_size=128,
        num_attention_heads=2,
        head_dim=128,
        rope_parameters={"rope_theta": 5e6, "mrope_section": [24, 20, 20], "rope_type": "default"},
    )
    module = qwen3_vl.Qwen3VLTextRotaryEmbedding(settings)
    decoder = Decoder(lambda part: module, positions="mrope", interleaved=True)
    rope = DecoderRope.of(decoder, module, 128, 64)
    assert rope.sections == (24, 20, 20)
    query, key = torch.randn(2, ROWS, HEADS * 128).unbind()
    wanted = [
        original(module, qwen3_vl.apply_rotary_pos_emb, x, positions()[:, None])
        for x in (query, key)
    ]
    found = scores(*(turned(rope, x, positions()) for x in (query, key)))
    assert (found - scores(*wanted)).abs().max() < 1e-5 * scores(*wanted).abs().max()


def test_axes_one_behind_the_other_stay() -> None:
    module = qwen3_vl.Qwen3VLTextRotaryEmbedding(Qwen3VLTextConfig(head_dim=128))
    decoder = Decoder(lambda part: module, positions="mrope")
    assert DecoderRope.of(decoder, module, 128, 2).order is None
    assert DecoderRope.of(replace(decoder, positions="axis"), module, 128, 2).sections == (64,)


@pytest.mark.parametrize("share", [0.25, 0.75, 1.0])
def test_part_of_a_head(share: float) -> None:
    """LongRoPE scales what it turns; what it leaves alone is not scaled."""
    settings = Phi3Config(
        hidden_size=64,
        num_attention_heads=2,
        max_position_embeddings=8192,
        original_max_position_embeddings=512,
        pad_token_id=None,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "partial_rotary_factor": share,
            "short_factor": [1.0 + step for step in range(int(16 * share))],
            "long_factor": [9.0] * int(16 * share),
        },
    )
    module = phi3.Phi3RotaryEmbedding(settings)
    rope = DecoderRope.of(Decoder(lambda part: module), module, 32, 64)
    assert rope.sections == (16,) and module.attention_scaling > 1.1
    query, key = torch.randn(2, ROWS, HEADS * 32).unbind()
    steps = torch.arange(ROWS)[None]
    wanted = [original(module, phi3.apply_rotary_pos_emb, x, steps) for x in (query, key)]
    found = scores(*(turned(rope, x, steps.expand(3, -1)) for x in (query, key)))
    assert (found - scores(*wanted)).abs().max() < 1e-5 * scores(*wanted).abs().max()
