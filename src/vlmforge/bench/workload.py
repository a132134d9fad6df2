"""Workload: tokens, images and questions to measure with, the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.decode.context import Context
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.reading import Reading, extend, read_all
from vlmforge.run.session import Session

QUESTION = "What is in the picture?"
IMAGE_SIZE = 224
"""Pixels of each side of the image asked about."""


@dataclass
class Workload:
    """Random inputs for a session.

    Attributes:
        session: the package.
        random: makes them.
    """

    session: Session
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def tokens(self, count: int) -> Inputs:
        """Random tokens, none of which stands for an image."""
        vocabulary = len(self.session.package.embeddings)
        return Inputs.plain(self.random.integers(0, vocabulary, count))

    def filled(self, count: int) -> Context:
        """A context that holds so many random tokens, perhaps none."""
        context = self.session.new_context()
        if count:
            extend(context, self.tokens(count))
        return context

    def picture(self) -> Image.Image:
        """An image of noise; none is like another, so that no features are reused."""
        pixels = self.random.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        return Image.fromarray(pixels)

    def question(self) -> list[dict[str, Any]]:
        """A conversation that asks about a new image."""
        content = [{"type": "image", "image": self.picture()}, {"type": "text", "text": QUESTION}]
        return [{"role": "user", "content": content}]


def greedy(contexts: Sequence[Context], logits: Sequence[np.ndarray], count: int) -> None:
    """Extend contexts side by side by so many tokens each, always the most probable one.

    Args:
        contexts: of one machine.
        logits: float32 ``[1, vocab]``, of the last token of each.
        count: of tokens.
    """
    for _ in range(count):
        tokens = [Inputs.plain(each[-1].argmax(keepdims=True)) for each in logits]
        logits = read_all([Reading(*pair) for pair in zip(contexts, tokens, strict=True)])
