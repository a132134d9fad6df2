"""Stages 2 and 3: teach the model to answer, first the text model alone, then both parts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from training.conversation import Packed
from training.family import family_of
from training.model import learning
from training.schedule import Stage
from training.shown import Shown, conversations, encoded, joined, squares
from training.tokenizer import token_id


@dataclass(frozen=True)
class Answers:
    """What the model says at each answer token of a batch.

    logits: float32 `[n, vocabulary]`, before each token. tokens: int64 `[n]`, the right ones.
    questions: int64 `[n]`, the index of each token's question. images: float32
    `[batch, tokens, hidden]`, the states of image tokens behind half of the layers.
    """

    logits: Tensor
    tokens: Tensor
    questions: Tensor
    images: Tensor

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


def answer(model: PreTrainedModel, packed: Packed, images: Tensor) -> Answers:
    """Run the text model on packed conversations and images `[levels, batch, tokens, hidden]`."""
    text = model.model.language_model
    embedded = text.embed_tokens(packed.ids)
    image = packed.ids == token_id("<|image_pad|>")
    merged, *further = images
    found = text(
        inputs_embeds=embedded.masked_scatter(image[..., None], merged),
        position_ids=packed.positions if family_of(model).mrope else packed.positions[0],
        attention_mask=packed.mask,
        use_cache=False,
        output_hidden_states=True,
        **deepstack(image, further),
    )
    halfway = found.hidden_states[len(text.layers) // 2]
    next_answers = packed.answers[:, 1:]
    answered = next_answers >= 0
    logits = model.lm_head(found.last_hidden_state[:, :-1][answered])
    tokens, questions = packed.ids[:, 1:][answered], next_answers[answered]
    return Answers(logits, tokens, questions, halfway[image].view(merged.shape))


def deepstack(image: Tensor, further: list[Tensor]) -> dict[str, Any]:
    """Return the arguments of a text model whose first layers are given further features."""
    if not further:
        return {}
    embeds = [level.flatten(0, 1) for level in further]
    return {"visual_pos_masks": image, "deepstack_visual_embeds": embeds}


def tally(packed: Packed, missed: set[int]) -> dict[str, list[bool]]:
    """Return of each kind of question whether it was answered right, one by one."""
    right = defaultdict(list)
    for index, question in enumerate(packed.questions):
        right[question.kind].append(index not in missed)
    return right


@torch.no_grad()
def accuracy(model: PreTrainedModel, shown: list[Shown]) -> dict[str, float]:
    """Return the share of answers given word for word, by kind of question."""
    right = defaultdict(list)
    for each in shown:
        scenes = each.scenes()
        packed = conversations(each, scenes, family_of(model))
        images = encoded(model, scenes, each.canvases)
        for kind, hits in tally(packed, answer(model, packed, joined(images)).missed()).items():
            right[kind] += hits
    return {kind: sum(hits) / len(hits) for kind, hits in sorted(right.items())}


def train(model: PreTrainedModel, stage: Stage, *, frozen: bool) -> None:
    """Train `model` on conversations, its vision tower `frozen` or not."""
    learning(model, tower=not frozen)
    for step in stage.steps(model):
        shown = squares(stage.seeds(step))
        scenes = shown.scenes()
        images = encoded(model, scenes, shown.canvases)
        packed = conversations(shown, scenes, family_of(model))
        loss = answer(model, packed, joined(images)).loss()
        loss.backward()
        if stage.reporting(step):
            report = accuracy(model, [squares(stage.held_out(64))])
            stage.report(step, {"loss": loss.item()} | report)
