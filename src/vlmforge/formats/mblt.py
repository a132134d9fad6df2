"""``.mblt``: a captured graph with its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import JsonValue

from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.document import Document, refuse, validate
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.progress import Progress

if TYPE_CHECKING:
    import torch

CHUNK = 64 << 20
"""Bytes of float32 rows held at a time."""

STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Weight dtype to the tensor dtype it is stored in."""

DTYPES = {stored: dtype for dtype, stored in STORED.items()}


class _GraphDocument(Document):
    """The JSON document: the graph without its weights."""

    component: Literal["language", "vision"]
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    meta: dict[str, JsonValue]


def write_mblt(graph: Graph, path: str | Path, progress: Progress | None = None) -> None:
    """Write a graph; every weight is read once, 64 MB of rows at a time.

    Args:
        graph: whose weights are stored in their ``dtype``.
        path: the ``.mblt`` file.
        progress: is told the weights written.
    """
    with ContainerWriter(path, "mblt") as writer:
        for done, (name, weight) in enumerate(graph.weights.items(), start=1):
            chunks = (_bits(rows, weight.dtype) for rows in row_chunks(weight))
            writer.add_chunks(name, STORED[weight.dtype], weight.shape, chunks)
            if progress is not None:
                progress(f"writing {Path(path).name}", done, len(graph.weights))
        writer.finish(_document(graph))


def read_mblt(path: str | Path, verify: bool = True) -> Graph:
    """Read a graph; its weights stay on disk until somebody asks for rows.

    Args:
        path: the ``.mblt`` file.
        verify: whether to compare every weight with its hash, which reads the whole file.

    Raises:
        FormatError: the file is not an intact ``.mblt`` or its graph is malformed. That the
            graph keeps the rules of its operators is for ``vlmforge.graph.verify`` to say.
    """
    file = Container.open(path, "mblt", verify)
    document = validate(_GraphDocument, file.document, file.path)
    weights = {name: _weight(file, name) for name in file.entries}
    graph = Graph(
        document.component,
        {value.name: value for value in document.inputs},
        {node.name: node for node in document.nodes},
        document.outputs,
        weights,
        dict(document.meta),
    )
    _require_references(document, graph, file.path)
    return graph


def row_chunks(weight: Weight) -> Iterator[torch.Tensor]:
    """The rows of a weight, at most 64 MB of float32 (and at least one row) at a time."""
    row = 4 * int(np.prod(weight.shape[1:], dtype=np.int64))
    step = max(1, CHUNK // row)
    for start in range(0, weight.shape[0], step):
        yield weight.read(start, min(start + step, weight.shape[0]))


def _bits(rows: torch.Tensor, dtype: str) -> np.ndarray:
    """The rows in their stored dtype; bfloat16 as raw uint16 bits."""
    import torch

    stored = rows.detach().to("cpu", getattr(torch, dtype)).contiguous()
    if dtype == "bfloat16":
        return stored.view(torch.int16).numpy().view(np.uint16)
    return stored.numpy()


def _weight(file: Container, name: str) -> Weight:
    entry = file.entries[name]
    if entry.dtype not in DTYPES or not entry.shape:
        what = f"the weight {name!r} is {entry.dtype}{list(entry.shape)}, not an array of floats"
        raise refuse(what, file.path)
    dtype = DTYPES[entry.dtype]
    return Weight(entry.shape, partial(_rows, file.arrays[name], dtype), dtype)


def _rows(array: np.ndarray, dtype: str, start: int, stop: int) -> torch.Tensor:
    """Rows ``[start, stop)`` of a mapped weight, float32; nothing else is read."""
    import torch

    rows = array[start:stop].copy()
    if dtype == "bfloat16":
        return torch.from_numpy(rows.view(np.int16)).view(torch.bfloat16).float()
    return torch.from_numpy(rows).float()


def _document(graph: Graph) -> dict[str, Any]:
    return {
        "component": graph.component,
        "inputs": [asdict(value) for value in graph.inputs.values()],
        "nodes": [asdict(node) for node in graph.nodes.values()],
        "outputs": graph.outputs,
        "meta": graph.meta,
    }


def _require_references(document: _GraphDocument, graph: Graph, path: Path) -> None:
    """Names are unique, and what a node reads was defined before."""
    defined = set(graph.inputs)
    _require(len(defined) == len(document.inputs), "an input is listed twice", path)
    for node in document.nodes:
        _require(node.name not in defined, f"the value {node.name!r} is defined twice", path)
        for name in node.inputs:
            _require(name in defined, f"{node.name!r} reads {name!r} before it is defined", path)
        for name in node.weights.values():
            _require(name in graph.weights, f"{node.name!r} lacks the weight {name!r}", path)
        defined.add(node.name)
    for name in document.outputs:
        _require(name in defined, f"the output {name!r} is never produced", path)
    used = {name for node in document.nodes for name in node.weights.values()}
    unused = sorted(set(graph.weights) - used)
    _require(not unused, f"no node reads the weights {unused}", path)


def _require(holds: bool, rule: str, path: Path) -> None:
    if not holds:
        raise refuse(f"the graph is malformed: {rule}", path)
