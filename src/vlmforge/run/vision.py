"""VisionEncoder: images become rows that stand among the token embeddings."""

from __future__ import annotations

import hashlib
import threading
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
    """Runs the vision program, once an image. May be used from several threads.

    Args:
        machine: of the vision program.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._remembered: OrderedDict[int, ImageFeatures] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, pixels: np.ndarray) -> ImageFeatures:
        """The features of one preprocessed image.

        Args:
            pixels: float32 ``[896, 56, 6]``, of :class:`ImagePreprocessor`.
        """
        return self.recall(pixels) or self._encode(pixels)

    def recall(self, pixels: np.ndarray) -> ImageFeatures | None:
        """The features of an image that was encoded before, if they are remembered."""
        key = _key(pixels)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
            return self._remembered.get(key)

    def _encode(self, pixels: np.ndarray) -> ImageFeatures:
        program = self.machine.program
        rows = self.machine.run({program.inputs[0]: pixels})[program.outputs[0]]
        features = ImageFeatures(_key(pixels), rows)
        with self._lock:
            self._remembered[features.key] = features
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return features


def _key(pixels: np.ndarray) -> int:
    digest = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
    return -1 - (int.from_bytes(digest[:8], "little") >> 1)
