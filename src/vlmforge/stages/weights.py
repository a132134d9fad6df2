"""Weights: how large those of a component are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

from vlmforge.families.family import LANGUAGE
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint


@dataclass(frozen=True)
class Weights:
    """The weights of a component.

    Attributes:
        stored: bytes in the checkpoint.
        elements: of all.
        products: the shapes ``(out, in)`` of those that multiply.
    """

    stored: int
    elements: int
    products: Sequence[tuple[int, int]]

    @staticmethod
    def of(checkpoint: Checkpoint, part: str) -> Weights:
        """Those of a component, read off the headers; the token embedding is the package's."""
        names = [n for n in checkpoint.names() if n != EMBEDDING and (_part(n) == part)]
        shapes = {name: checkpoint.shape(name) for name in names}
        sizes = {name: prod(shape) for name, shape in shapes.items()}
        return Weights(
            sum(sizes[name] * getattr(torch, checkpoint.dtype(name)).itemsize for name in names),
            sum(sizes.values()),
            [(shape[0], prod(shape[1:])) for shape in shapes.values() if len(shape) > 1],
        )


def _part(name: str) -> str:
    return LANGUAGE if name.startswith(("language_model.", "lm_head.")) else "vision"
