"""Packed training sees what transformers sees on single conversations."""

from __future__ import annotations

import random

import pytest
import torch

from training.conversation import IMAGE_TOKENS, pack
from training.model import build
from training.text import answer
from training.tokenizer import token_id
from training.tower import encode, patches
from vlmforge.calibrate.scenes import draw_scene, scene_items


@pytest.fixture(scope="module")
def model():
    return build(seed=1).eval()


@torch.no_grad()
def test_tower_equals_transformers(model) -> None:
    cut = patches([draw_scene(seed).image for seed in (1, 2)])
    frames = cut.view(-1, 3, 1, 14, 14).expand(-1, 3, 2, 14, 14).reshape(-1, 1176)
    grid = torch.tensor([[1, 16, 16]] * 2)
    expected = model.model.visual(frames, grid_thw=grid).pooler_output.view(2, IMAGE_TOKENS, -1)
    torch.testing.assert_close(encode(model.model.visual, cut), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_first_branch_equals_a_conversation_alone(model) -> None:
    packed = pack([scene_items(5)], [random.Random(5)])
    images = encode(model.model.visual, patches([draw_scene(5).image]))
    answers = answer(model, packed, images)
    length = int((packed.answers[0] == 0).nonzero().max()) + 1
    ids = packed.ids[:, :length]
    kinds = (ids == token_id("<|image_pad|>")).int()
    grid = torch.tensor([[1, 16, 16]])
    positions, _ = model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grid)
    assert torch.equal(packed.positions[:, :, :length], positions)
    embedded = model.get_input_embeddings()(ids).masked_scatter(kinds[..., None].bool(), images)
    logits = model(inputs_embeds=embedded, position_ids=positions).logits[0]
    first = answers.questions == 0
    torch.testing.assert_close(
        answers.logits[first], logits[-1 - int(first.sum()) : -1], atol=1e-4, rtol=1e-3
    )
