"""Tally: how far values stray from those they should be, each row counting alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BLOCK = 1 << 21
"""Elements compared at once."""

FLOOR = 1e-6
"""Smallest energy of a row that errors are set against, relative to the mean row's."""

WORST = 1e4
"""Largest noise-to-signal ratio of a row, so that one row of nearly nothing decides nothing."""

TINY = 1e-300
"""Keeps divisions by an energy of zero finite."""


@dataclass
class Tally:
    """Errors of one value over rows (tokens or patches).

    Attributes:
        rows: how many.
        noise: sum over the rows of error energy over signal energy.
        cosine: sum over the rows of the cosine between both.
    """

    rows: int = 0
    noise: float = 0.0
    cosine: float = 0.0

    def add(self, wanted: np.ndarray, got: np.ndarray) -> None:
        """Take in rows ``[rows, channels]``."""
        floor = _floor(wanted)
        for part in _blocks(wanted):
            want, have = wanted[part].astype(np.float64), got[part].astype(np.float64)
            signal, other = _energy(want), _energy(have)
            ratio = _energy(have - want) / np.maximum(signal, floor)
            self.noise += float(np.minimum(ratio, WORST).sum())
            product = np.einsum("rc,rc->r", want, have)
            lengths = np.sqrt(signal * other)
            equal = (signal == 0) & (other == 0)
            self.cosine += float(np.where(equal, 1, product / np.maximum(lengths, TINY)).sum())
        self.rows += len(wanted)

    @property
    def ratio(self) -> float:
        """Mean noise-to-signal ratio of a row."""
        return self.noise / self.rows if self.rows else 0.0

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise in decibels; None where there is no noise or no row."""
        return decibels(self.ratio)

    @property
    def mean_cosine(self) -> float | None:
        """Mean cosine of a row; None without rows."""
        return self.cosine / self.rows if self.rows else None


@dataclass
class ChannelTally:
    """Energies of each channel, rows scaled to equal energy.

    Attributes:
        signal, error, rounding: float64 ``[channels]``; ``rounding`` is the error that the
            buffer's codes allow at best.
    """

    signal: np.ndarray | float = 0.0
    error: np.ndarray | float = 0.0
    rounding: np.ndarray | float = 0.0

    def add(self, wanted: np.ndarray, got: np.ndarray, rounded: np.ndarray) -> None:
        """Take in rows ``[rows, channels]``: wanted, computed, and wanted after rounding."""
        floor = _floor(wanted)
        for part in _blocks(wanted):
            want = wanted[part].astype(np.float64)
            scale = 1 / np.maximum(_energy(want), floor)[:, None]
            self.signal = self.signal + (want**2 * scale).sum(0)
            self.error = self.error + ((got[part] - want) ** 2 * scale).sum(0)
            self.rounding = self.rounding + ((rounded[part] - want) ** 2 * scale).sum(0)


def decibels(ratio: float) -> float | None:
    """``-10 log10`` of a noise-to-signal ratio; None for no noise."""
    return -10 * math.log10(ratio) if ratio > 0 else None


def _floor(wanted: np.ndarray) -> float:
    if not len(wanted):
        return TINY
    energies = np.einsum("rc,rc->r", wanted, wanted, dtype=np.float64)
    return max(float(energies.mean()) * FLOOR, TINY)


def _energy(rows: np.ndarray) -> np.ndarray:
    return np.einsum("rc,rc->r", rows, rows)


def _blocks(rows: np.ndarray) -> list[slice]:
    size = max(1, BLOCK // max(1, rows.shape[1]))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
