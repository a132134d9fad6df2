"""Kept weights: a rounding that is interrupted goes on with the product it was at.

Every weight is written as it is quantized, with a digest of all that it follows from: the graph up
to its product, with every weight in it as transformed, codes, scales and formats, and whatever the
caller names beside. One with another digest is quantized again. The samples that meet the weights
are written now and then, so that they need not pass through all layers again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vlmforge.errors import FormatError
from vlmforge.formats.kept import SUFFIX, Digest
from vlmforge.formats.kept_file import KeptFile, KeptState, size_of
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.ops import PRODUCTS
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.rounding import Rounding

ROWS = 4096
"""Rows of a weight that are read at a time."""

WIDER = 1.5
"""Growth of the samples' values from one product to the next from which on they count as wide."""


class KeptRounding:
    """Keeps what another rounding gives, and gives what was kept."""

    def __init__(
        self,
        rounding: Rounding,
        graph: Graph,
        folder: Path,
        path: QuantizedPath | None,
        *facts: object,
    ) -> None:
        """Keep the weights of a rounding.

        Args:
            rounding: quantizes what is not kept.
            graph: the transformed component.
            folder: where weights and samples are kept.
            path: that of the samples which the rounding moves on; None if it moves none.
            facts: what they follow from besides the graph: numbers, texts, arrays, dataclasses.
        """
        self._rounding, self._folder, self._graph, self._path = rounding, folder, graph, path
        products = [node.name for node in graph.nodes.values() if node.op in PRODUCTS]
        self._names = {name: f"{i:05}{SUFFIX}" for i, name in enumerate(products)}
        self._digest = Digest([graph.inputs, *facts])
        self._passed = KeptState(KeptFile(folder / f"passed{SUFFIX}", self._wiring().hex()))
        self._waiting: Iterator[Node] = iter(graph.nodes.values())
        self._files: dict[str, KeptFile] = {}
        self._skipped: list[Node] = []
        self._width = 0

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """See :class:`Rounding`."""
        digest = self._until(product, smallest)
        file = KeptFile(self._folder / self._names[product.name], digest)
        self._files[product.name] = file
        found = file.read()
        if found is not None:
            self._skipped.append(product)
            return QuantizedWeight(**found)
        self._catch_up()
        made = self._rounding.quantize(product, smallest)
        file.write(made)
        self._keep_samples(product)
        return made

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """See :class:`Rounding`."""
        self._catch_up()
        self._rounding.settle(product, weight)

    def _wiring(self) -> Digest:
        """A digest of what decides, behind a product too, which values live there."""
        digest = self._digest.copy()
        digest.add(self._graph.outputs)
        for node in self._graph.nodes.values():
            digest.add([node.name, node.op, node.inputs])
        return digest

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

    def _keep_samples(self, product: Node) -> None:
        """Keep the samples as they have come up to a product, if it is time.

        It never is where their values are wider than before, as within an MLP.
        """
        path = self._path
        if path is None or not path.stands_at(product):
            return
        before, self._width = self._width, size_of(path.live)
        if self._width <= WIDER * before:
            follows = self._files[product.name].digest
            self._passed.keep({"follows": follows, "live": path.live})

    def _catch_up(self) -> None:
        """Tell the rounding of the weights that were kept, which it has not made itself."""
        for product in self._skipped[self._resumed() :]:
            weight = self._files[product.name].read()
            if weight is None:
                raise FormatError(
                    "a weight that was kept has gone meanwhile",
                    where=self._files[product.name].path,
                    mend="run the same command again",
                )
            self._rounding.settle(product, QuantizedWeight(**weight))
        self._skipped.clear()

    def _resumed(self) -> int:
        """How many of the kept weights the samples have met already, those that were kept."""
        if self._path is None or not self._skipped:
            return 0
        found = self._passed.file.read()
        for index, product in enumerate(self._skipped if found is not None else ()):
            if found["follows"] == self._files[product.name].digest:
                self._path.resume(product, found["live"])
                return index
        return 0


def _pieces(weight: Weight) -> Iterator[np.ndarray]:
    for start in range(0, weight.shape[0], ROWS):
        yield weight.read(start, min(start + ROWS, weight.shape[0])).numpy()
