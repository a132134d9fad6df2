"""Programs lowered into memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vlmforge.graph.core import Graph
from vlmforge.program.core import Program
from vlmforge.quantize.emit import lower
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.weights.rounding import Rounding


class Tensors(dict[str, np.ndarray]):
    """A writer that keeps what it is given."""

    def add(self, name: str, array: np.ndarray) -> None:
        self[name] = array


def lowered(graph: Graph, codes: Mapping[str, str], scales: Scales, rounding: Rounding) -> Program:
    """The program with its tensors."""
    tensors = Tensors()
    return replace(lower(graph, codes, scales, rounding, tensors), tensors=tensors)
