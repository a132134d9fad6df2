"""Checks a captured graph against the original model, value by value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vlmforge.capture.original import Counterpart
from vlmforge.errors import CaptureError
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import PRODUCTS

Observer = Callable[[str, Tensor], None]
"""Is told a module's path in the original model and its output, flattened to rows."""

TOLERANCE = 1e-4
"""Largest float error of a captured value, relative to the largest value of the original."""

REPORT = "report it with the model's config.json: the capture of this model is wrong"


@dataclass(frozen=True)
class ValueCheck:
    """One value against the original module with the same output.

    ``relative`` is the largest absolute error over the largest absolute original value,
    ``sqnr_db`` the signal to noise ratio in decibels (infinite if equal).
    """

    name: str
    shape: tuple[int, ...]
    module: str | None = None
    cosine: float | None = None
    max_abs_error: float | None = None
    relative: float | None = None
    sqnr_db: float | None = None

    @staticmethod
    def of(name: str, module: str, value: Tensor, original: Tensor) -> ValueCheck:
        """Compare two tensors of one shape."""
        got, want = value.double().flatten(), original.double().flatten()
        error = got - want
        noise = error.square().sum().item()
        signal = want.square().sum().item()
        return ValueCheck(
            name,
            tuple(value.shape),
            module,
            cosine=torch.nn.functional.cosine_similarity(got, want, dim=0).item(),
            max_abs_error=error.abs().max().item(),
            relative=_relative(error, want),
            sqnr_db=10 * torch.log10(torch.tensor(signal / noise)).item() if noise else None,
        )


def _relative(error: Tensor, want: Tensor) -> float:
    """The largest error of the largest original value; infinite where one is no number."""
    ratio = (error.abs().max() / want.abs().max().clamp_min(1e-30)).item()
    return ratio if math.isfinite(ratio) else math.inf


def check(
    graph: Graph,
    feeds: Mapping[str, Tensor],
    run_original: Callable[[Observer], None],
    keep: Callable[[str, Tensor], None] | None = None,
    originals: MutableMapping[str, Tensor] | None = None,
) -> dict[str, Any]:
    """Run graph and original on one sample and compare every value both have.

    Args:
        graph: the captured graph.
        feeds: the graph's inputs; ``logits_index`` must ask for every row.
        run_original: runs the original model, calling its argument with module path and output.
        keep: called with the name and tensor of each value of the graph.
        originals: holds the original's values meanwhile; by default all of them in memory.

    Returns:
        A report, JSON-able: ``values`` and the worst ``relative`` error.

    Raises:
        CaptureError: a value differs by more than :data:`TOLERANCE` relative, or a product or an
            output was compared with nothing.
    """
    counterparts = {
        node.name: Counterpart.parse(node.module) for node in graph.nodes.values() if node.module
    }
    wanted = {each.module for each in counterparts.values()}
    held: MutableMapping[str, Tensor] = {} if originals is None else originals

    def remember(path: str, output: Tensor) -> None:
        if path in wanted:
            held[path] = output

    run_original(remember)
    checks: list[ValueCheck] = []

    def compare(name: str, value: Tensor) -> None:
        found = counterparts.get(name)
        if found is not None and found.module in held:
            original = found.of(held[found.module]).reshape(value.shape)
            checks.append(ValueCheck.of(name, str(found), value, original))
        else:
            checks.append(ValueCheck(name, tuple(value.shape)))
        if keep is not None:
            keep(name, value)

    evaluate(graph, feeds, observe=compare)
    return _report(graph, checks)


def _report(graph: Graph, checks: list[ValueCheck]) -> dict[str, Any]:
    compared = {entry.name: entry.relative for entry in checks if entry.relative is not None}
    products = [node.name for node in graph.nodes.values() if node.op in PRODUCTS]
    if missing := [name for name in (*graph.outputs, *products) if name not in compared]:
        raise CaptureError(
            f"{len(missing)} captured products or outputs have no counterpart in the original",
            where=missing[0],
            mend=REPORT,
        )
    worst = max(compared, key=lambda name: compared[name])
    if not compared[worst] <= TOLERANCE:
        raise CaptureError(
            f"a captured value differs from the original by {compared[worst]:.2e} of its range",
            where=f"{worst} against {graph.nodes[worst].module}",
            mend=REPORT,
        )
    return {
        "component": graph.component,
        "compared": len(compared),
        "worst": {"name": worst, "relative": compared[worst]},
        "values": [asdict(entry) for entry in checks],
    }
