"""VisionRunner: images to rows, as clients of the runtime pass and expect them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlmforge.decode.vision import VisionEncoder
from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.images.patches import COLORS, PatchLayout
from vlmforge.images.visual import Patches
from vlmforge.integrations.qbruntime.arrays import rows_of
from vlmforge.integrations.qbruntime.infos import ANY, BufferInfo, CacheInfo, Variant
from vlmforge.integrations.qbruntime.opened import Opened
from vlmforge.integrations.qbruntime.rope import Angles
from vlmforge.machine.machine import Machine
from vlmforge.program.core import Program

MEND = "use the processor and the model of the client as they are"


class VisionFace:
    """What a vision program looks like to clients.

    Args:
        opened: its package.
        program: the program.
    """

    caches: tuple[CacheInfo, ...] = ()

    def __init__(self, opened: Opened, program: Program) -> None:
        self._opened, self._program = opened, program
        self._layout = PatchLayout.of(program.meta)

    @property
    def variant(self) -> Variant:
        """Pixels of one image; in the dynamic layout patches, and angles of their places."""
        hidden = self._program.meta["hidden_size"]
        if not self._opened.dynamic:
            shape, tokens = self._block, self._grid.tokens
            return Variant([shape], [(1, tokens, hidden)])
        angles = (1, ANY, Angles(self._program).channels)
        return Variant([(1, ANY, self._layout.patch_values), angles, angles], [(1, ANY, hidden)])

    @property
    def buffers(self) -> list[BufferInfo]:
        """Of each input."""
        return [BufferInfo(0, 0) for _ in self.variant.inputs]

    def runner(self, machine: Machine) -> FixedRunner | DynamicRunner:
        """What runs it."""
        if self._opened.dynamic:
            return DynamicRunner(self._opened, machine)
        return FixedRunner(self._opened, machine, self._block, self._grid)

    @property
    def _grid(self) -> Grid:
        """Of every image, where all have one size."""
        height, width = self._program.meta["image_size"]
        return self._layout.grid(self._layout.temporal_patch_size, height, width)

    @property
    def _block(self) -> tuple[int, int, int]:
        layout = self._layout
        width, depth = layout.cell_patches * layout.patch_size, COLORS * layout.temporal_patch_size
        return self._grid.tokens * layout.patch_size, width, depth


class FixedRunner:
    """Runs a vision program of images of one size.

    Args:
        opened: its package.
        machine: of the program.
        block: shape of an image.
        grid: its tokens.
    """

    def __init__(
        self, opened: Opened, machine: Machine, block: tuple[int, int, int], grid: Grid
    ) -> None:
        self._images, self._encoder = opened.images, VisionEncoder(machine)
        self._layout = PatchLayout.of(machine.program.meta)
        self._block, self._grid = block, grid

    def infer(self, inputs: Sequence[Any], cache_size: int, params: object) -> list[np.ndarray]:
        """The rows of images.

        Args:
            inputs: one array ``[896, 56, 6]``, or ``[n, 896, 56, 6]``; last frame · 3 + color.
            cache_size, params: of no meaning.

        Returns:
            One array, float32 ``[n, tokens, hidden]``.

        Raises:
            RunError: images are of another size.
        """
        pixels = np.asarray(inputs[0], np.float32)
        if len(inputs) != 1 or pixels.shape[-3:] != self._block or pixels.ndim > 4:
            shapes = [list(np.shape(each)) for each in inputs]
            raise RunError(
                f"the inputs are {shapes}, the model takes [{list(self._block)}]", mend=MEND
            )
        found = self._encoder.many(
            [self._patches(each) for each in pixels.reshape(-1, *self._block)]
        )
        for image in found:
            self._images.add(image)
        return [np.stack([image.rows for image in found])]

    def _patches(self, pixels: np.ndarray) -> Patches:
        """An image as this project orders it, color · 2 + frame last."""
        frames = pixels.reshape(*pixels.shape[:2], -1, COLORS)
        return Patches(self._layout.of_blocks(frames.swapaxes(2, 3)), self._grid)


class DynamicRunner:
    """Runs a vision program of images of any size.

    Args:
        opened: its package.
        machine: of the program.
    """

    def __init__(self, opened: Opened, machine: Machine) -> None:
        self._images, self._encoder = opened.images, VisionEncoder(machine)
        self._layout = PatchLayout.of(machine.program.meta)
        self._angles = Angles(machine.program)

    def infer(self, inputs: Sequence[Any], cache_size: int, params: object) -> list[np.ndarray]:
        """The rows of an image or a video.

        Args:
            inputs: patches ``[1, n, 3 * time * patch²]`` in the processor's order, and the cosines
                and sines of their rows and columns ``[1, n, channels]``.
            cache_size, params: of no meaning.

        Returns:
            One array, float32 ``[1, tokens, hidden]``.

        Raises:
            RunError: the patches are no whole image.
        """
        channels = self._angles.channels
        patches, cos, sin = rows_of(inputs, [self._layout.patch_values, channels, channels])
        found = self._encoder(Patches(patches, self._grid(cos, sin)))
        self._images.add(found)
        return [found.rows[None]]

    def _grid(self, cos: np.ndarray, sin: np.ndarray) -> Grid:
        """That of patches with these angles; RunError if they are not in the processor's order."""
        places = self._angles.of_patches(cos, sin)
        height, width = places.max(axis=1) + 1
        frames = places.shape[1] // int(height * width)
        grid = Grid.of_patches((frames, int(height), int(width)), self._layout.merge_size)
        one = self._layout.positions(grid)[:2]
        if not np.array_equal(np.tile(one, (1, frames)), places):
            raise RunError(
                f"{places.shape[1]} patches up to row {height} and column {width} are no image",
                mend=MEND,
            )
        return grid
