"""Histogram: how the sizes of a value's elements are distributed, and what clipping them costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vlmforge.arithmetic.sizes import INFINITY, count_sizes
from vlmforge.arithmetic.sums import row_sums

SHIFT = 17
"""Bits of a float32 dropped for its bin: 64 bins an octave remain, 1 % wide."""

BINS = INFINITY >> SHIFT
"""Bins of the non-negative finite float32 numbers."""

CENTERS = ((np.arange(BINS, dtype=np.uint32) << SHIFT) + (1 << (SHIFT - 1))).view(np.float32)
CENTERS[0] = 0.0
"""The size in the middle of each bin; zeros are in the first."""

PER_OCTAVE = 1 << (23 - SHIFT)

OCTAVES = 10
"""Clippings tried: from the largest size down to its 2⁻¹⁰."""

INT8_MAX = 127


@dataclass
class Histogram:
    """Absolute values of one value, over all samples.

    Attributes:
        elements: float64 ``[BINS]``, elements in each bin.
        tokens: the same, each element weighted by one over its row's sum of squares, so that every
            row (token, patch) counts alike, whatever its size.
    """

    elements: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(BINS))

    def update(self, value: Tensor) -> None:
        """Take in one sample's value, float32 ``[..., channels]``."""
        rows = value.flatten(0, -2).cpu()
        energy = row_sums(rows.square())
        elements, tokens = count_sizes(rows, torch.where(energy > 0, 1 / energy, 0.0), SHIFT)
        self.elements += elements
        self.tokens += tokens

    def best_bound(self, below: float = math.inf) -> float:
        """The clipping at which int8 loses least, see :meth:`loss`; 0 if every element is.

        Codes reach as far to either side of zero, but to one of them not further than ``below``.
        """
        used = np.flatnonzero(self.elements[1:]) + 1
        if not used.size:
            return 0.0
        bounds = CENTERS[max(1, used[-1] - PER_OCTAVE * OCTAVES) : used[-1] + 1]
        return float(bounds[np.argmin(self._losses(bounds, below))])

    def loss(self, bound: float) -> float:
        """What int8 codes clipped at ``bound`` lose.

        It is the sum of two relative squared errors: that of all elements together, which an
        outlying token dominates, and the mean of the tokens' own, which it hardly touches. Either
        alone would sacrifice the one for the other.
        """
        return float(self._losses(np.array([bound]))[0])

    def _losses(self, bounds: np.ndarray, below: float = math.inf) -> np.ndarray:
        bounds = bounds.astype(np.float64)
        steps = (bounds + np.minimum(bounds, below)) / (2 * INT8_MAX)
        counted = (self.elements, self.tokens)
        return np.sum([_relative_errors(counts, bounds, steps) for counts in counted], axis=0)


def _relative_errors(counts: np.ndarray, bounds: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Squared error over squared size, for each bound and the step that belongs to it.

    Below half a step a size rounds to 0, above the bound to the bound, and between its error is
    that of a uniform distribution over a step.
    """
    sizes = CENTERS.astype(np.float64)
    moments = [np.concatenate([[0.0], np.cumsum(counts * sizes**p)]) for p in (0, 1, 2)]
    total = [moment[-1] for moment in moments]
    if not total[2] > 0:
        return np.zeros(len(bounds))
    low, high = np.searchsorted(sizes, step / 2), np.searchsorted(sizes, bounds)
    rounded = (moments[0][high] - moments[0][low]) * step**2 / 12
    beyond = [whole - moment[high] for whole, moment in zip(total, moments, strict=True)]
    clipped = beyond[2] - 2 * bounds * beyond[1] + bounds**2 * beyond[0]
    return (moments[2][low] + rounded + clipped) / total[2]
