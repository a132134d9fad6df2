"""Integer weights around zero: their formats, and rounding to nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vlmforge.graph.core import Weight
from vlmforge.quantize.weights.scales import (
    CodeRange,
    GroupScales,
    channel_scale,
    group_scales,
    pad_groups,
)

CODE_RANGES = {8: CodeRange(-127, 127), 4: CodeRange(-8, 7)}
"""The codes of a weight, by its bits."""

ROWS = 2048
"""Output channels quantized at once."""


@dataclass(frozen=True)
class WeightFormat:
    """How a weight is stored.

    Attributes:
        bits: 8 or 4.
        group: columns that share a scale, with ``bits`` 4; None for one scale an output channel.
        search: whether scales may clip the largest weights, where that lowers the squared error.
    """

    bits: int = 8
    group: int | None = None
    search: bool = False

    @property
    def codes(self) -> CodeRange:
        """The codes there are."""
        return CODE_RANGES[self.bits]


@dataclass(frozen=True)
class QuantizedWeight:
    """``weight[n, k] ~ codes[n, k] * group_scale[n, k // group] * scales[n]``.

    Attributes:
        codes: int8 ``[out, in]``.
        scales: float64 ``[out]``, not zero.
        group_scale: int8 ``[out, groups]``, not zero; None where a channel has one scale.
        group: columns of a group.
        bits: of a code.
    """

    codes: np.ndarray
    scales: np.ndarray
    group_scale: np.ndarray | None = None
    group: int | None = None
    bits: int = 8

    def dequantized(self) -> Tensor:
        """The real weight the codes stand for, float32 ``[out, in]``."""
        return torch.from_numpy(self.codes).float().mul_(self.real_scales())

    def real_scales(self) -> Tensor:
        """What the codes are multiplied by, float32 ``[out, in]``, or ``[out, 1]``."""
        scales = torch.from_numpy(self.scales).float()[:, None]
        if self.group_scale is None or self.group is None:
            return scales
        integers = torch.from_numpy(self.group_scale).float()
        return (integers * scales).repeat_interleave(self.group, 1)[:, : self.codes.shape[1]]

    def row_sums(self) -> np.ndarray:
        """``sum_k codes[n, k] * group_scale[n, k // group]``, int64 ``[out]``."""
        integers = replace(self, scales=np.ones_like(self.scales)).dequantized()
        return integers.sum(1, dtype=torch.float64).numpy().astype(np.int64)

    @property
    def range(self) -> CodeRange:
        """The codes there are."""
        return CODE_RANGES[self.bits]

    def with_codes(self, codes: Tensor) -> QuantizedWeight:
        """Other codes ``[out, in]`` of any dtype for the same scales."""
        return replace(self, codes=codes.to("cpu", torch.int8).numpy())

    def scaled(self, factors: np.ndarray, smallest: np.ndarray | None) -> QuantizedWeight:
        """The same codes, each channel's scale times its factor, its size at least ``smallest``.

        Both float64 ``[out]``; the factors are positive.
        """
        scales = self.scales * factors
        if smallest is not None:
            scales = np.copysign(np.maximum(np.abs(scales), smallest), scales)
        return replace(self, scales=scales)

    @staticmethod
    def of(codes: Tensor, scales: GroupScales, weight_format: WeightFormat) -> QuantizedWeight:
        """From codes ``[out, in]`` of any dtype and the scales they were rounded with."""
        integers = scales.integers
        return QuantizedWeight(
            codes.to("cpu", torch.int8).numpy(),
            scales.channel.to("cpu", torch.float64).numpy(),
            None if integers is None else integers.to("cpu", torch.int8).numpy(),
            weight_format.group,
            weight_format.bits,
        )

    @staticmethod
    def joined(parts: Sequence[QuantizedWeight]) -> QuantizedWeight:
        """The output channels of several weights of one format, one after the other."""
        grouped = [part.group_scale for part in parts if part.group_scale is not None]
        return QuantizedWeight(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.scales for part in parts]),
            np.concatenate(grouped) if grouped else None,
            parts[0].group,
            parts[0].bits,
        )


def quantize_weight(
    weight: Weight,
    weight_format: WeightFormat | None = None,
    smallest: np.ndarray | None = None,
) -> QuantizedWeight:
    """Round to nearest.

    Args:
        weight: ``[out, ...]``; trailing dimensions are flattened.
        weight_format: int8 with a scale a channel by default.
        smallest: float64 ``[out]``, a lower bound of each channel's scale.
    """
    chosen = weight_format or WeightFormat()
    parts = []
    for start in range(0, weight.shape[0], ROWS):
        rows = weight.read(start, min(start + ROWS, weight.shape[0])).flatten(1).double()
        floor = None if smallest is None else torch.from_numpy(smallest[start : start + ROWS])
        parts.append(_nearest(rows, chosen, floor))
    return QuantizedWeight.joined(parts)


def _nearest(rows: Tensor, chosen: WeightFormat, floor: Tensor | None) -> QuantizedWeight:
    if chosen.group is None:
        scales = GroupScales(channel_scale(rows, chosen.codes, floor, chosen.search), None)
        codes = chosen.codes.round(rows / scales.channel[:, None])
        return QuantizedWeight.of(codes, scales, chosen)
    groups = pad_groups(rows, chosen.group)
    scales = group_scales(groups, chosen.codes, floor, chosen.search)
    codes = chosen.codes.round(groups / scales.real[..., None])
    return QuantizedWeight.of(codes.flatten(1)[:, : rows.shape[1]], scales, chosen)
