"""Arithmetic: how the original model answers on a computer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch

from vlmforge.machine.ram import usable_memory
from vlmforge.source.checkpoint import Checkpoint

FLOAT32_BYTES = 1 << 30
"""A model that is no larger in float32 answers the calibration prompts in it."""

SHARE = 0.6
"""Most of the memory that the weights may take."""

BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Arithmetic:
    """In what the original model computes, and where its weights are meanwhile.

    Attributes:
        dtype: ``"float32"`` or ``"bfloat16"``.
        streamed: whether weights are read each time they are needed, as all of them would take
            more than :data:`SHARE` of the memory.
    """

    dtype: str
    streamed: bool

    @staticmethod
    def of(checkpoint: Checkpoint, device: str = "cpu", dtype: str | None = None) -> Arithmetic:
        """What suits a model and a computer, in a dtype that is asked for or the fastest.

        A large model computes in bfloat16 where there are instructions for it; processors without
        them imitate it, several times slower than float32.
        """
        elements = sum(prod(checkpoint.shape(name)) for name in checkpoint.distinct())
        if dtype is None:
            large = BYTES["float32"] * elements > FLOAT32_BYTES
            dtype = "bfloat16" if large and _fast_bfloat16(device) else "float32"
        memory = _memory(device)
        streamed = memory is not None and BYTES[dtype] * elements > SHARE * memory
        return Arithmetic(dtype, streamed)

    def sentence(self) -> str:
        """A few words for people."""
        return f"{self.dtype}, weights read as they are needed" if self.streamed else self.dtype


def _fast_bfloat16(device: str) -> bool:
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _memory(device: str) -> int | None:
    if device == "cpu":
        return usable_memory()
    return torch.cuda.get_device_properties(0).total_memory
