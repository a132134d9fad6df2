"""PackedWeight: a quantized weight as products read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlmforge.program import layout
from vlmforge.quantize.weights.formats import QuantizedWeight


@dataclass(frozen=True)
class PackedWeight:
    """Codes and group scales in the order of :mod:`vlmforge.program.layout`.

    Attributes:
        codes: int8 or, of int4, uint8.
        group_scale: int8; None where a channel has one scale.
        group: columns of a group, 0 without groups.
    """

    codes: np.ndarray
    group_scale: np.ndarray | None = None
    group: int = 0

    @staticmethod
    def of(weight: QuantizedWeight) -> PackedWeight:
        """The packed form of a weight."""
        if weight.bits == 8:
            return PackedWeight(layout.pack(weight.codes))
        codes = layout.pack_int4(weight.codes)
        if weight.group_scale is None or weight.group is None:
            return PackedWeight(codes)
        return PackedWeight(codes, layout.pack_group_scale(weight.group_scale), weight.group)
