"""VisionEncoder: images become rows that stand among the token embeddings."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from vlmforge.run.machine import Machine

REMEMBERED = 64
"""Images whose features are kept: 64 of a 2B model are 25 MB."""


@dataclass(frozen=True)
class ImageFeatures:
    """What the text program reads in place of an image.

    Attributes:
        key: negative; equal for equal pixels, so that a cached prefix can be compared.
        rows: float32 ``[image tokens, hidden]``.
    """

    key: int
    rows: np.ndarray


class VisionEncoder:
    """Runs the vision program, once an image.

    Args:
        machine: of the vision program.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._remembered: OrderedDict[int, ImageFeatures] = OrderedDict()

    def __call__(self, pixels: np.ndarray) -> ImageFeatures:
        """The features of one preprocessed image.

        Args:
            pixels: float32 ``[896, 56, 6]``, of :class:`ImagePreprocessor`.
        """
        key = _key(pixels)
        if key not in self._remembered:
            output = self.machine.program.outputs[0]
            rows = self.machine.run({self.machine.program.inputs[0]: pixels})[output]
            self._remembered[key] = ImageFeatures(key, rows)
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[key]


def _key(pixels: np.ndarray) -> int:
    digest = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
    return -1 - (int.from_bytes(digest[:8], "little") >> 1)
