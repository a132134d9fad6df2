"""A model begins with what another one has learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.export import write
from training.family import FAMILIES
from training.inherit import inherit
from training.model import build
from vlmforge import sample

INITIALIZED = {
    "qwen2-vl": set(),
    "qwen2.5-vl": {"visual.blocks.0.mlp.gate_proj.weight", "visual.blocks.3.mlp.down_proj.bias"},
    "qwen3-vl": {"visual.pos_embed.weight", "language_model.layers.0.self_attn.q_norm.weight"},
    "internvl": {"vision_tower.embeddings.cls_token", "multi_modal_projector.linear_1.weight"},
}
"""Some of the weights that the first sample has not, by family."""


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_both_have_is_taken(family: str) -> None:
    model, untrained = build(5, family), build(5, family).state_dict()
    left = inherit(model, sample.checkpoint())
    found = model.state_dict()
    assert bool(left) == (family != "qwen2-vl")
    assert {f"model.{name}" for name in INITIALIZED[family]} <= set(left)
    assert all(torch.equal(found[name], untrained[name]) for name in left)
    given = load_file(sample.checkpoint() / "model.safetensors")
    for theirs, ours in (
        ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
        ("model.layers.2.mlp.up_proj.weight", "model.language_model.layers.2.mlp.up_proj.weight"),
    ):
        assert torch.equal(found[ours], given[theirs].float())


def test_parts_of_other_names_are_taken(tmp_path: Path) -> None:
    donor, model = build(6, "qwen2-vl"), build(7, "qwen3-vl")
    write(donor, tmp_path)
    inherit(model, tmp_path)
    given, found = donor.model.visual, model.model.visual
    for ours, theirs in (
        (found.blocks[1].mlp.linear_fc2, given.blocks[1].mlp.fc2),
        (found.merger.norm, given.merger.ln_q),
        (found.merger.linear_fc2, given.merger.mlp[2]),
    ):
        assert torch.equal(ours.weight, theirs.weight.float())
