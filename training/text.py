"""Stages 2 and 3: teach the model to answer, first the text model alone, then both parts."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.conversation import Packed, pack
from training.schedule import Stage
from training.tokenizer import token_id
from training.tower import encode, patches
from vlmforge.calibrate.scenes import draw_scene, scene_items


def image_tokens(visual: nn.Module, seeds: range) -> Tensor:
    """Draw the scenes of `seeds` and run the tower on them: float32 `[n, 64, hidden]`."""
    return encode(visual, patches([draw_scene(seed).image for seed in seeds]))


@dataclass(frozen=True)
class Answers:
    """What the model says at each answer token of a batch.

    logits: float32 `[n, vocabulary]`, before each token. tokens: int64 `[n]`, the right ones.
    questions: int64 `[n]`, the index of each token's question.
    """

    logits: Tensor
    tokens: Tensor
    questions: Tensor

    def loss(self) -> Tensor:
        """Return the mean cross entropy, a token weighing less the longer its answer is."""
        lengths = torch.bincount(self.questions)[self.questions]
        weights = lengths.float().rsqrt()
        losses = functional.cross_entropy(self.logits, self.tokens, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def missed(self) -> set[int]:
        """Return the questions greedy decoding would not answer word for word.

        Greedy decoding gives an answer if each of its tokens is the likeliest after the
        right ones before it.
        """
        return set(self.questions[self.logits.argmax(-1) != self.tokens].tolist())


def answer(model: nn.Module, packed: Packed, images: Tensor) -> Answers:
    """Run the text model on packed conversations and image tokens `[batch, 64, hidden]`."""
    text = model.model.language_model
    embedded = text.embed_tokens(packed.ids)
    image = packed.ids == token_id("<|image_pad|>")
    states = text(
        inputs_embeds=embedded.masked_scatter(image[..., None], images),
        position_ids=packed.positions,
        attention_mask={"full_attention": packed.mask},
        use_cache=False,
    ).last_hidden_state
    next_answers = packed.answers[:, 1:]
    answered = next_answers >= 0
    logits = model.lm_head(states[:, :-1][answered])
    return Answers(logits, packed.ids[:, 1:][answered], next_answers[answered])


def conversations(seeds: range) -> Packed:
    """Ask about the scenes of `seeds`."""
    rngs = [random.Random(f"questions {seed}") for seed in seeds]
    return pack([scene_items(seed) for seed in seeds], rngs)


@torch.no_grad()
def accuracy(model: nn.Module, seeds: range) -> dict[str, float]:
    """Return the share of answers given word for word, by kind of question."""
    packed = conversations(seeds)
    missed = answer(model, packed, image_tokens(model.model.visual, seeds)).missed()
    right = defaultdict(list)
    for index, question in enumerate(packed.questions):
        right[question.kind].append(index not in missed)
    return {kind: sum(hits) / len(hits) for kind, hits in sorted(right.items())}


def train(model: nn.Module, stage: Stage, *, frozen: bool) -> None:
    """Train `model` on conversations, its vision tower `frozen` or not."""
    visual = model.model.visual.requires_grad_(not frozen)
    for step in stage.steps(model):
        seeds = stage.seeds(step)
        images = image_tokens(visual, seeds)
        loss = answer(model, conversations(seeds), images).loss()
        loss.backward()
        if stage.reporting(step):
            report = accuracy(model, stage.held_out(64))
            stage.report(step, {"loss": loss.item()} | report)
