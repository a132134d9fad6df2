"""Which transformations a component takes, in which order, and why there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vlmforge.config import EquivalentTransformationConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.verify import verify
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.head_rotation import rotate_head
from vlmforge.transform.norm_folding import fold_norms
from vlmforge.transform.residual_rotation import rotate_residual
from vlmforge.transform.value_rotation import attentions, rotate_values


@dataclass(frozen=True)
class Pass:
    """One transformation: its name, why it stands where it does, and what it does."""

    name: str
    reason: str
    apply: Callable[[Graph], Graph]


def language_passes(
    config: EquivalentTransformationConfig, rotation: Tensor | None, seed: int
) -> list[Pass]:
    """The passes of the text model; ``rotation`` is R1 ``[hidden, hidden]``, float64."""
    passes = [Pass("norm folding", "a rotation passes only a norm without weights", fold_norms)]
    if rotation is not None:
        r1 = rotation
        passes.append(
            Pass(
                "R1",
                "spreads residual outliers over all channels",
                lambda g: rotate_residual(g, r1),
            )
        )
    if config.spin_r2.apply:
        passes.append(_value_pass(seed))
    return passes


def vision_passes(
    config: EquivalentTransformationConfig, rotation: Tensor | None, seed: int
) -> list[Pass]:
    """The passes of the vision encoder; ``rotation`` is the language model's R1."""
    passes = [Pass("norm folding", "products then see every gain they quantize", fold_norms)]
    if config.spin_r2.apply:
        passes.append(_value_pass(seed))
    if rotation is not None:
        r1 = rotation
        passes.append(
            Pass("head rotation", "features join rotated embeddings", lambda g: rotate_head(g, r1))
        )
    return passes


def transform(graph: Graph, passes: list[Pass]) -> Graph:
    """Apply the passes in order; the graph is verified after each."""
    for step in passes:
        graph = step.apply(graph)
        verify(graph)
    return graph


def _value_pass(seed: int) -> Pass:
    def apply(graph: Graph) -> Graph:
        rotations = {
            node.name: random_rotation(node.attrs["head_dim"], seed + 1 + i)
            for i, node in enumerate(attentions(graph))
        }
        return rotate_values(graph, rotations)

    return Pass("R2", "spreads value outliers within each head; undone by the next product", apply)
