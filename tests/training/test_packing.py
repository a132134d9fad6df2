"""Packed training sees what transformers sees on single conversations."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from training.canvas import Canvas
from training.family import FAMILIES, family_of
from training.model import build
from training.shown import Shown, conversations, encoded, joined, mixed, squares
from training.text import answer, deepstack
from training.tokenizer import token_id
from training.tower import encode, patches

SEVERAL = Shown([range(5, 7)], [Canvas((224, 300), (224, 280)), Canvas((300, 224), (280, 196))])
"""One sequence of two scenes on canvases of unlike shapes."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return build(1, request.param).eval()


def positions_of(model: PreTrainedModel, ids: torch.Tensor, canvases: list[Canvas]) -> torch.Tensor:
    """Where transformers puts the tokens of a conversation: int64 `[3, 1, tokens]`."""
    if not family_of(model).mrope:
        return torch.arange(ids.shape[1]).expand(3, 1, -1)
    kinds = (ids == token_id("<|image_pad|>")).int()
    found, _ = model.model.get_rope_index(
        ids, mm_token_type_ids=kinds, image_grid_thw=grids(canvases)
    )
    return found


def grids(canvases: list[Canvas]) -> torch.Tensor:
    """Rows and columns of patches, as transformers takes them."""
    return torch.tensor([[1, *(2 * side for side in canvas.grid)] for canvas in canvases])


@torch.no_grad()
@pytest.mark.parametrize("canvas", [Canvas(), *SEVERAL.canvases], ids=str)
def test_tower_equals_transformers(model, canvas: Canvas) -> None:
    family = family_of(model)
    if family.tiles:
        pytest.skip("tiles are batches as they are: transformers' own pass sees them")
    cut = patches([canvas.draw(seed).image for seed in (1, 2)], family)
    frames = cut.view(-1, 3, 1, 14, 14).expand(-1, 3, 2, 14, 14).reshape(-1, 1176)
    found = model.model.visual(frames, grid_thw=grids([canvas] * 2))
    levels = [found.pooler_output, *getattr(found, "deepstack_features", [])]
    ours = encode(model.model.visual, cut, canvas.grid)
    assert len(ours) == 1 + len(family.vision.get("deepstack_visual_indexes", []))
    for given, level in zip(ours, levels, strict=True):
        torch.testing.assert_close(given, level.view_as(given), atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("shown", [squares(range(5, 6)), SEVERAL], ids=["one", "several"])
def test_first_branch_equals_a_conversation_alone(model, shown: Shown) -> None:
    scenes = shown.scenes()
    family = family_of(model)
    packed = conversations(shown, scenes, family)
    images = joined(encoded(model, scenes, shown.canvases))
    answers = answer(model, packed, images)
    length = int((packed.answers[0] == 0).nonzero().max()) + 1
    ids = packed.ids[:, :length]
    positions = positions_of(model, ids, shown.canvases)
    assert torch.equal(packed.positions[:, :, :length], positions)
    places, (merged, *further) = ids == token_id("<|image_pad|>"), images
    embedded = model.get_input_embeddings()(ids).masked_scatter(places[..., None], merged)
    added = deepstack(places, further)
    positions = positions if family.mrope else positions[0]
    states = model.model.language_model(inputs_embeds=embedded, position_ids=positions, **added)
    logits = model.lm_head(states.last_hidden_state)[0]
    first = answers.questions == 0
    torch.testing.assert_close(
        answers.logits[first], logits[-1 - int(first.sum()) : -1], atol=1e-4, rtol=1e-3
    )


def test_every_step_shows_scenes_of_its_own() -> None:
    numbers = set()
    for step in range(40):
        seeds = range(8 * step, 8 * step + 8)
        shown = mixed(seeds)
        flat = [seed for sequence in shown.seeds for seed in sequence]
        assert len(flat) == len(set(flat)) and set(flat) <= set(seeds)
        assert {len(sequence) for sequence in shown.seeds} == {len(shown.canvases)}
        numbers.add(len(shown.canvases))
    assert numbers == {1, 2, 3}
