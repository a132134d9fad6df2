"""Kept weights: a rounding that is interrupted goes on with the product it was at.

Every weight is written as it is quantized, with a digest of all that it follows from: the graph up
to its product, with every weight in it as transformed, codes, scales and formats, and whatever the
caller names beside. One with another digest is quantized again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.kept import SUFFIX, Digest
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.ops import PRODUCTS
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.rounding import Rounding

ROWS = 4096
"""Rows of a weight that are read at a time."""


class KeptRounding:
    """Keeps what another rounding gives, and gives what was kept."""

    def __init__(self, rounding: Rounding, graph: Graph, folder: Path, *facts: object) -> None:
        """Keep the weights of a rounding.

        Args:
            rounding: quantizes what is not kept.
            graph: the transformed component.
            folder: where weights are kept.
            facts: what they follow from besides the graph: numbers, texts, arrays, dataclasses.
        """
        self._rounding, self._folder, self._graph = rounding, folder, graph
        products = [node.name for node in graph.nodes.values() if node.op in PRODUCTS]
        self._files = {name: folder / f"{i:05}{SUFFIX}" for i, name in enumerate(products)}
        self._digest = Digest([graph.inputs, *facts])
        self._waiting: Iterator[Node] = iter(graph.nodes.values())
        self._skipped: list[Node] = []

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """See :class:`Rounding`."""
        path, digest = self._files[product.name], self._until(product, smallest)
        found = read_kept(path, digest)
        if found is not None:
            self._skipped.append(product)
            return found
        self._catch_up()
        made = self._rounding.quantize(product, smallest)
        write_kept(path, made, digest)
        return made

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """See :class:`Rounding`."""
        self._catch_up()
        self._rounding.settle(product, weight)

    def _until(self, product: Node, smallest: np.ndarray | None) -> str:
        """A digest of the graph up to a product, with what its weight is rounded for."""
        for node in self._waiting:
            self._digest.add([node.name, node.op, node.inputs, node.attrs])
            for role, name in node.weights.items():
                self._digest.add(role)
                for rows in _pieces(self._graph.weights[name]):
                    self._digest.add(rows)
            if node.name == product.name:
                break
        own = self._digest.copy()
        own.add(smallest)
        return own.hex()

    def _catch_up(self) -> None:
        """Tell the rounding of the weights that were kept, which it has not made itself."""
        for product in self._skipped:
            weight = read_kept(self._files[product.name])
            if weight is None:
                raise FormatError(
                    "a weight that was kept has gone meanwhile",
                    where=self._files[product.name],
                    mend="run the same command again",
                )
            self._rounding.settle(product, weight)
        self._skipped.clear()


def write_kept(path: Path, weight: QuantizedWeight, digest: str) -> None:
    """Write a weight with a digest of what it follows from."""
    with ContainerWriter(path, "kept") as writer:
        writer.add("codes", weight.codes)
        writer.add("scales", weight.scales)
        if weight.group_scale is not None:
            writer.add("group_scale", weight.group_scale)
        writer.finish({"digest": digest, "group": weight.group, "bits": weight.bits})


def read_kept(path: Path, digest: str | None = None) -> QuantizedWeight | None:
    """The weight of a file, None if there is no whole one, or one of another digest."""
    with suppress(FormatError, OSError):
        file = Container.open(path, "kept")
        if digest in (None, file.document["digest"]):
            arrays = {name: np.array(array) for name, array in file.arrays.items()}
            document = file.document
            return QuantizedWeight(
                arrays["codes"], arrays["scales"], arrays.get("group_scale"),
                document["group"], document["bits"],
            )  # fmt: skip
    return None


def _pieces(weight: Weight) -> Iterator[np.ndarray]:
    for start in range(0, weight.shape[0], ROWS):
        yield weight.read(start, min(start + ROWS, weight.shape[0])).numpy()
