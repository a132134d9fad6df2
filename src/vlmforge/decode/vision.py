"""VisionEncoder: images become rows that stand among the token embeddings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmforge.decode.lock import Lock
from vlmforge.images.feeds import vision_feeds
from vlmforge.images.grid import Grid
from vlmforge.images.position_table import PositionTable
from vlmforge.images.visual import Visual
from vlmforge.machine.machine import Machine, Request
from vlmforge.program.core import Program

REMEMBERED = 3 << 23
"""Numbers of features of images that are kept: 100 MB, of a 2B model 256 images of 64 tokens."""

CHUNK = 1 << 14
"""Patches encoded at once; bounds the memory of activations, never changes a bit."""


@dataclass(frozen=True)
class ImageFeatures:
    """What the text program reads in place of an image or a video.

    Attributes:
        key: negative; equal for equal pixels, so that a cached prefix can be compared.
        rows: float32 ``[tokens, hidden * (1 + further)]``: what takes the place of embeddings, and
            beside it what later layers add, if there is any.
        grid: where the tokens sit.
    """

    key: int
    rows: np.ndarray
    grid: Grid


class VisionEncoder:
    """Runs the vision program, once a slice of an image or video. Serves several threads.

    Args:
        machine: of the vision program.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        program = machine.program
        self._feeds = vision_feeds(program.meta, _position_tables(program))
        self._remembered: OrderedDict[int, ImageFeatures] = OrderedDict()
        self._lock = Lock()

    def __call__(self, visual: Visual) -> ImageFeatures:
        """The features of one image or video."""
        return self.many([visual])[0]

    def many(self, visuals: Sequence[Visual]) -> list[ImageFeatures]:
        """The features of several, run side by side."""
        found = {v.key: known for v in visuals if (known := self.recall(v)) is not None}
        missing = {v.key: v for v in visuals if v.key not in found}
        slices = self._encoded([(v, at) for v in missing.values() for at in range(v.grid.frames)])
        for key, visual in missing.items():
            rows = [next(slices) for _ in range(visual.grid.frames)]
            found[key] = ImageFeatures(key, np.concatenate(rows), visual.grid)
            self._remember(found[key])
        return [found[visual.key] for visual in visuals]

    def step(self, visual: Visual, rows: list[np.ndarray]) -> ImageFeatures | None:
        """Encode one slice of one, for who has other things to do in between.

        Args:
            visual: an image or video.
            rows: float32 ``[tokens, width]`` of its slices so far, to which the next is added.

        Returns:
            The features, once all slices are encoded.
        """
        rows += self._encoded([(visual, len(rows))])
        if len(rows) < visual.grid.frames:
            return None
        features = ImageFeatures(visual.key, np.concatenate(rows), visual.grid)
        self._remember(features)
        return features

    def feeds(self, visual: Visual, index: int = 0) -> dict[str, np.ndarray]:
        """The vision program's inputs for one slice, each by its name."""
        return self._feeds(visual.slice(index), visual.grid)

    def rows(self, visual: Visual, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """All that the program gives for the tokens of one slice, in their order.

        Returns:
            float32 ``[tokens, width]``, see :attr:`ImageFeatures.rows`.
        """
        given = [outputs[name] for name in self.machine.program.outputs]
        rows = given[0] if len(given) == 1 else np.concatenate(given, axis=1)
        return self._feeds.from_program(rows, visual.grid)

    def recall(self, visual: Visual) -> ImageFeatures | None:
        """The features of what was encoded before, if they are remembered."""
        with self._lock:
            if visual.key in self._remembered:
                self._remembered.move_to_end(visual.key)
            return self._remembered.get(visual.key)

    def _encoded(self, slices: Sequence[tuple[Visual, int]]) -> Iterator[np.ndarray]:
        """The rows of each slice, float32 ``[tokens, width]``."""
        for chunk in self._chunks(slices):
            batch = self.machine.run_batch([Request(self.feeds(*each)) for each in chunk])
            for (visual, _), outputs in zip(chunk, batch, strict=True):
                yield self.rows(visual, outputs)

    def _chunks(self, slices: Sequence[tuple[Visual, int]]) -> Iterator[list[tuple[Visual, int]]]:
        chunk: list[tuple[Visual, int]] = []
        patches = 0
        for visual, index in slices:
            own = visual.grid.rows * visual.grid.columns * self._feeds.layout.cell_patches
            if chunk and patches + own > CHUNK:
                yield chunk
                chunk, patches = [], 0
            chunk.append((visual, index))
            patches += own
        if chunk:
            yield chunk

    def _remember(self, features: ImageFeatures) -> None:
        with self._lock:
            self._remembered[features.key] = features
            while len(self._remembered) > 1 and self._numbers() > REMEMBERED:
                self._remembered.popitem(last=False)

    def _numbers(self) -> int:
        return sum(each.rows.size for each in self._remembered.values())


def _position_tables(program: Program) -> dict[str, PositionTable]:
    """The tables that inputs are made of, by the names of these."""
    tensors = {step.name: step.tensors for step in program.instructions if step.op == "constant"}
    tables = program.meta.get("tables", {})
    rows = {name: program.tensors[tensors[table]["value"]] for name, table in tables.items()}
    return {name: PositionTable(np.asarray(table)) for name, table in rows.items()}
