"""VisionEncoder: images become rows that stand among the token embeddings."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmforge.decode.lock import Lock
from vlmforge.machine.machine import Machine, Request

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
        self._lock = Lock()

    def __call__(self, pixels: np.ndarray) -> ImageFeatures:
        """The features of one preprocessed image.

        Args:
            pixels: float32 ``[896, 56, 6]``, of :class:`ImagePreprocessor`.
        """
        return self.many([pixels])[0]

    def many(self, images: Sequence[np.ndarray]) -> list[ImageFeatures]:
        """The features of several preprocessed images, run as one batch."""
        keys = [_key(pixels) for pixels in images]
        features = {key: known for key in keys if (known := self._recall(key)) is not None}
        missing = {key: each for key, each in zip(keys, images, strict=True) if key not in features}
        name, output = self.machine.program.inputs[0], self.machine.program.outputs[0]
        batch = self.machine.run_batch([Request({name: pixels}) for pixels in missing.values()])
        for key, outputs in zip(missing, batch, strict=True):
            features[key] = ImageFeatures(key, outputs[output])
            self._remember(features[key])
        return [features[key] for key in keys]

    def recall(self, pixels: np.ndarray) -> ImageFeatures | None:
        """The features of an image that was encoded before, if they are remembered."""
        return self._recall(_key(pixels))

    def _recall(self, key: int) -> ImageFeatures | None:
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
            return self._remembered.get(key)

    def _remember(self, features: ImageFeatures) -> None:
        with self._lock:
            self._remembered[features.key] = features
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)


def _key(pixels: np.ndarray) -> int:
    digest = hashlib.sha256(np.ascontiguousarray(pixels)).digest()
    return -1 - (int.from_bytes(digest[:8], "little") >> 1)
