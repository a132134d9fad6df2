"""Deepstack: features of images that the first layers of a text program add to their output.

DeepStack (Meng et al. 2024, arXiv 2406.04334). They stand beside the features that take the place
of embeddings, in one row a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vlmforge.program.core import Program


@dataclass(frozen=True)
class Deepstack:
    """How a text program takes features.

    Attributes:
        inputs: those that layers add, in the order in which they stand behind each other.
    """

    inputs: tuple[str, ...]

    @staticmethod
    def of(program: Program) -> Deepstack:
        """That of a text program."""
        return Deepstack(tuple(program.meta.get("stream_inputs", ())))

    def feeds(
        self, embeddings: np.ndarray, places: np.ndarray, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The program's inputs that hold embeddings and features.

        Args:
            embeddings: float32 ``[seq, hidden]`` of all tokens, of which those of images are
                replaced.
            places: bool ``[seq]``, true where a token stands for a part of an image.
            rows: float32 ``[places, hidden * (1 + inputs)]``, their features.
        """
        seq, hidden = embeddings.shape
        if not rows.size:
            zeros = dict.fromkeys(self.inputs, _zeros(seq, hidden) if self.inputs else rows)
            return {"inputs_embeds": embeddings[None], **zeros}
        first, *further = np.split(rows, range(hidden, rows.shape[1], hidden), axis=1)
        embeddings[places] = first
        feeds = {"inputs_embeds": embeddings[None]}
        for name, features in zip(self.inputs, further, strict=True):
            feeds[name] = np.zeros((1, seq, hidden), np.float32)
            feeds[name][0, places] = features
        return feeds


@lru_cache(maxsize=4)
def _zeros(seq: int, hidden: int) -> np.ndarray:
    """float32 ``[1, seq, hidden]``, shared by all that read as many tokens of text."""
    zeros = np.zeros((1, seq, hidden), np.float32)
    zeros.flags.writeable = False
    return zeros
