"""What transforming a component depends on besides its graph and samples."""

from __future__ import annotations

from dataclasses import dataclass, field

from vlmforge.config import EquivalentTransformationConfig
from vlmforge.learning.steps import Budget
from vlmforge.progress import Progress
from vlmforge.transform.precision import Precision


@dataclass(frozen=True)
class Settings:
    """How a component is transformed.

    Attributes:
        config: which transformations are wanted.
        precision: how the integer program will round.
        seed: of random rotations.
        device: where to compute, as torch names it.
        progress: is told of every step.
        budget: says when to stop learning.
    """

    config: EquivalentTransformationConfig
    precision: Precision
    seed: int = 0
    device: str = "cpu"
    progress: Progress | None = None
    budget: Budget = field(default_factory=Budget)
