"""Which transformations a component takes, in which order, and why there.

Three groups, since each needs what the one before made: :func:`preparation` looks at the graph
alone, :func:`rotations` at matrices that were drawn or learned on the prepared graph, and
:func:`scalings` at statistics of the rotated graph. Ranges are observed after all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from vlmforge.config import EquivalentTransformationConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.verify import verify
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.choose.statistics import Statistics
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.gated_rotation import rotate_gated
from vlmforge.transform.passes.head_rotation import rotate_head
from vlmforge.transform.passes.mlp_scaling import gated_channels, scale_gated
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.norm_scaling import norm_channels, scale_norms
from vlmforge.transform.passes.query_key_rotation import best_angles, rotate_keys
from vlmforge.transform.passes.query_key_scaling import balanced_key_scales, scale_keys
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.passes.untying import untie
from vlmforge.transform.passes.value_rotation import rotate_values
from vlmforge.transform.passes.value_scaling import scale_values, value_channels


@dataclass(frozen=True)
class Pass:
    """One transformation: its name, why it stands where it does, and what it does."""

    name: str
    reason: str
    apply: Callable[[Graph], Graph]


ChooseScales = Callable[[Graph, Mapping[str, Channels], str], dict[str, Tensor]]
"""Scales for channels of a graph, by the name of the value; the text names the transformation."""


def preparation(config: EquivalentTransformationConfig) -> list[Pass]:
    """The passes that need nothing but the graph."""
    passes = [
        Pass("untying", "no pass may change a product it does not mean", untie),
        Pass("norm folding", "a rotation passes only a norm without weights", fold_norms),
    ]
    if config.spin_r1.apply:
        reason = "a rotation passes only an RMSNorm; LayerNorms become that"
        passes.append(Pass("centring", reason, centre_residual))
    if config.spin_r4.apply:
        block, reason = config.spin_r4.block, "what follows judges by the values that are rounded"
        passes.append(Pass("R4", reason, lambda g: rotate_gated(g, block)))
    return passes


def rotations(
    residual: Tensor | None, values: Mapping[str, Tensor] | None, head: Tensor | None
) -> list[Pass]:
    """The rotations of a prepared graph, each None where it is not wanted.

    Args:
        residual: R1 ``[width of the stream]`` squared, float64.
        values: R2 ``[head_dim, head_dim]`` by attention, float64.
        head: the language model's R1 for the output of a vision encoder.
    """
    passes = []
    if residual is not None:
        r1, reason = residual, "spreads residual outliers over all channels"
        passes.append(Pass("R1", reason, lambda g: rotate_residual(g, r1)))
    if values is not None:
        r2, reason = values, "spreads value outliers over each head; undone by the next product"
        passes.append(Pass("R2", reason, lambda g: rotate_values(g, r2)))
    if head is not None:
        matrix, reason = head, "features join rotated embeddings"
        passes.append(Pass("head rotation", reason, lambda g: rotate_head(g, matrix)))
    return passes


def scalings(
    config: EquivalentTransformationConfig,
    statistics: Statistics,
    choose: ChooseScales,
    choose_keys: Callable[[Graph], dict[str, Tensor]] | None = None,
) -> list[Pass]:
    """The transformations that follow from statistics of the rotated graph.

    All of them are local to their pair of products, and none changes what another looks at, but
    for the weights: NormConv comes last, as it judges products that VO and UD have changed.

    Args:
        config: which are wanted.
        statistics: with the rows of :func:`judged_values`, and extents for QkRotation.
        choose: finds the scales of VO, UD and NormConv.
        choose_keys: finds those of QK, by default in closed form.
    """
    keys = choose_keys or (lambda g: balanced_key_scales(g, statistics))
    wanted = (
        (
            config.qk_rotation.apply,
            "QkRotation",
            "exchanges extent within rotary pairs, which scales cannot",
            lambda g: rotate_keys(g, best_angles(g, statistics)),
        ),
        (
            config.qk.apply,
            "QK",
            "evens rotary pairs; their length is free of rotations",
            lambda g: scale_keys(g, keys(g)),
        ),
        (
            config.vo.apply,
            "VO",
            "evens what R2 leaves uneven between heads",
            lambda g: scale_values(g, choose(g, value_channels(g), "VO")),
        ),
        (
            config.ud.apply,
            "UD",
            "evens a value no rotation reaches, as the gate's product is elementwise",
            lambda g: scale_gated(g, choose(g, gated_channels(g), "UD")),
        ),
        (
            config.norm_conv.apply,
            "NormConv",
            "gives norms a gain, which no rotation passes",
            lambda g: scale_norms(g, choose(g, norm_channels(g), "NormConv")),
        ),
    )
    return [Pass(name, reason, apply) for on, name, reason, apply in wanted if on]


def judged_values(graph: Graph, config: EquivalentTransformationConfig) -> Collection[str]:
    """The values whose rows :func:`scalings` needs."""
    wanted = (
        (config.vo.apply, value_channels),
        (config.ud.apply, gated_channels),
        (config.norm_conv.apply, norm_channels),
    )
    return {name for on, channels in wanted if on for name in channels(graph)}


def transform(graph: Graph, passes: list[Pass]) -> Graph:
    """Apply the passes in order; the graph is verified after each."""
    for step in passes:
        graph = step.apply(graph)
        verify(graph)
    return graph
