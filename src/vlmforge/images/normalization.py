"""Normalization: bytes of pixels become the numbers a vision encoder was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlmforge.formats.settings import ProcessorSettings


@dataclass(frozen=True)
class Normalization:
    """``(byte * rescale_factor - mean) / std``, with Hugging Face's bits.

    Attributes:
        rescale_factor: maps bytes to the unit interval, usually 1 / 255.
        mean, std: of each RGB channel, on the unit interval.
    """

    rescale_factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(settings: ProcessorSettings) -> Normalization:
        """What a processor does; steps that are switched off change nothing."""
        normalize = settings.do_normalize
        return Normalization(
            settings.rescale_factor if settings.do_rescale else 1.0,
            settings.image_mean if normalize else (0.0, 0.0, 0.0),
            settings.image_std if normalize else (1.0, 1.0, 1.0),
        )

    @cached_property
    def _table(self) -> np.ndarray:
        """float32 ``[256, 3]``: the number of every byte of every channel."""
        unit = (np.arange(256, dtype=np.float64) * self.rescale_factor).astype(np.float32)
        return (unit[:, None] - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 ``[..., 3]`` to float32 of the same shape."""
        numbers: np.ndarray = self._table[pixels, np.arange(3)]
        return numbers
