"""Visual: an image or a video on its way into a vision program, one slice at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from vlmforge.images.grid import Grid
from vlmforge.images.normalization import Normalization
from vlmforge.images.patches import PatchLayout


class Visual(Protocol):
    """An image, or a video of several slices of two frames each."""

    @property
    def grid(self) -> Grid:
        """How many tokens it has, and where they sit."""
        ...

    @property
    def key(self) -> int:
        """Negative int64; equal for equal pixels of an equal grid."""
        ...

    def slice(self, index: int) -> np.ndarray:
        """float32 ``[patches, 3 * time * patch²]``: ``pixel_values`` of one frame of the grid."""
        ...


@dataclass(frozen=True)
class Frames:
    """An image or a video that still is bytes, an eighth or a quarter of its numbers.

    Attributes:
        frames: uint8 ``[frames, height, width, 3]``: one of an image, any number of a video.
        layout: divides them.
        normalize: makes numbers of bytes.
        moments: when each slice was taken, in seconds, of a video whose slices are shown one by one
            behind their times; empty otherwise.
        labels: of what is shown slice by slice, the text before each and that behind the last;
            empty where all slices are shown at once.
        pace: of a video, see :class:`Grid`.
    """

    frames: np.ndarray
    layout: PatchLayout
    normalize: Normalization
    moments: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    pace: float = 1.0

    @property
    def parts(self) -> tuple[Frames, ...]:
        """The slices, where they are shown one by one; otherwise the whole."""
        time = self.layout.temporal_patch_size
        starts = range(0, (len(self.labels) - 1) * time, time)
        slices = (self.frames[at : at + time] for at in starts)
        return tuple(replace(self, frames=each, moments=(), labels=()) for each in slices) or (
            self,
        )

    def text(self, token: str) -> str:
        """What stands for it in a prompt, ``token`` for each of its tokens."""
        if not self.labels:
            return token * self.grid.tokens
        first, *behind = self.labels
        runs = (token * part.grid.tokens for part in self.parts)
        return first + "".join(run + label for run, label in zip(runs, behind, strict=True))

    @cached_property
    def grid(self) -> Grid:
        """See :class:`Visual`."""
        count, height, width, _ = self.frames.shape
        return self.layout.grid(count, height, width)._replace(pace=self.pace)

    @cached_property
    def key(self) -> int:
        """See :class:`Visual`; a video of one frame is no image."""
        return _key(self.frames, "frames" if self.pace == 1 else f"frames at {self.pace}")

    def slice(self, index: int) -> np.ndarray:
        """See :class:`Visual`."""
        time = self.layout.temporal_patch_size
        frames = self.frames[index * time : (index + 1) * time]
        return self.layout.fold(self.normalize(frames))


@dataclass(frozen=True)
class Patches:
    """An image or a video that a processor of Hugging Face has made numbers of.

    Attributes:
        patches: float32 ``[patches, 3 * time * patch²]`` of all slices.
        grid: theirs.
    """

    patches: np.ndarray
    grid: Grid

    @property
    def slices(self) -> tuple[Patches, ...]:
        """Each slice as an image of its own."""
        single = self.grid._replace(frames=1)
        return tuple(Patches(self.slice(at), single) for at in range(self.grid.frames))

    @cached_property
    def key(self) -> int:
        """See :class:`Visual`."""
        return _key(self.patches, str(self.grid.record))

    def slice(self, index: int) -> np.ndarray:
        """See :class:`Visual`."""
        rows = len(self.patches) // self.grid.frames
        return self.patches[index * rows : (index + 1) * rows]


def _key(numbers: np.ndarray, kind: str) -> int:
    digest = hashlib.sha256(f"{kind} {numbers.dtype} {numbers.shape}".encode())
    digest.update(np.ascontiguousarray(numbers))
    return -1 - (int.from_bytes(digest.digest()[:8], "little") >> 1)
