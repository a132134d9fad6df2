"""Step and Frame: what a reference kernel knows of its instruction and of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vlmforge.machine.cache import KVCache
from vlmforge.machine.request import Sizes
from vlmforge.program.core import Instruction, Program
from vlmforge.program.layout import unpack, unpack_group_scale


class Step:
    """An instruction with its tensors at hand.

    Attributes:
        name: of the instruction.
        dtype: of the buffer it writes.
        attrs: its attributes, floats as float32.
        tensors: role to array.
        memory: what a kernel computed once for all runs.
    """

    def __init__(self, program: Program, instruction: Instruction) -> None:
        self.name = instruction.name
        self.dtype = program.buffers[instruction.name].dtype
        self.attrs: dict[str, Any] = {
            name: np.float32(value) if isinstance(value, float) else value
            for name, value in instruction.attrs.items()
        }
        self.tensors: Mapping[str, np.ndarray] = {
            role: program.tensors[name] for role, name in instruction.tensors.items()
        }
        self.memory: dict[str, np.ndarray] = {}

    @cached_property
    def weight(self) -> np.ndarray:
        """The product weight, float32 ``[out_features, in_features]``, unpacked at first use."""
        sizes = self.attrs["out_features"], self.attrs["in_features"]
        return unpack(self.tensors["weight"], *sizes).astype(np.float32)

    @cached_property
    def group_scale(self) -> np.ndarray | None:
        """The scales of the weight's groups, float64 ``[groups, out_features]``, if it has any."""
        if "group_scale" not in self.tensors:
            return None
        scales = unpack_group_scale(self.tensors["group_scale"], self.attrs["out_features"])
        return scales.T.astype(np.float64)


@dataclass(frozen=True)
class Frame:
    """One run: the sizes of its dynamic dimensions, and its cache."""

    sizes: Sizes
    cache: KVCache | None


Kernel = Callable[..., np.ndarray]
"""``kernel(step, frame, *inputs)`` computes the buffer the instruction writes."""
