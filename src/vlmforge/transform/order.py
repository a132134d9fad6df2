"""Which transformations a component takes, in which order, and why there.

Three groups, since each needs what the one before made: :func:`preparation` looks at the graph
alone, :func:`rotations` at matrices that were drawn or learned on the prepared graph, and
:func:`scalings` at statistics of the rotated graph. Ranges are observed after all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vlmforge.config import EquivalentTransformationConfig
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.graph.residual import stream_width
from vlmforge.graph.verify import verify
from vlmforge.transform.blocks import Aside, gated_mlps, key_paths, plain_key_paths, value_paths
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.choose.statistics import Statistics
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.channel_padding import pad_gated
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

Rule = Callable[[Graph, Aside], object]
"""Looks for the parts a transformation applies to, and notes those it leaves as they are."""


@dataclass(frozen=True)
class Pass:
    """One transformation.

    A pass that a graph, or a part of it, does not suit steps aside, and the graph's ``meta`` says
    why; only what was asked for by name is an error then.

    Attributes:
        name: of the transformation.
        reason: why it stands where it does.
        apply: what it does; raises :class:`GraphError` where the graph as a whole does not suit.
        parts: for a pass that changes some parts of a graph and not others.
        named: whether the configuration names it.
    """

    name: str
    reason: str
    apply: Callable[[Graph], Graph]
    parts: Rule | None = None
    named: bool = False

    def __call__(self, graph: Graph) -> Graph:
        """The graph after the transformation, as far as it suits.

        Raises:
            GraphError: it does not, and the configuration names the transformation.
        """
        aside: Aside = {}
        try:
            if self.parts is not None:
                self.parts(graph, aside)
            changed = self.apply(graph)
        except GraphError as error:
            if self.named:
                raise
            return stepped_aside(graph, self.name, {str(error.where): error.what})
        if aside and self.named:
            where, what = next(iter(aside.items()))
            raise GraphError(f"{self.name} does not apply: {what}", where=where, mend=ASIDE)
        return stepped_aside(changed, self.name, aside)


ASIDE = "leave the transformation out of the configuration; by default it steps aside there"


def stepped_aside(graph: Graph, name: str, aside: Aside) -> Graph:
    """The graph with a note of what a transformation leaves as it is."""
    if not aside:
        return graph
    noted = {**graph.meta.get("aside", {}), name: aside}
    return replace(graph, meta={**graph.meta, "aside": noted})


ChooseScales = Callable[[Graph, Mapping[str, Channels], str], dict[str, Tensor]]
"""Scales for channels of a graph, by the name of the value; the text names the transformation."""


def preparation(config: EquivalentTransformationConfig) -> list[Pass]:
    """The passes that need nothing but the graph."""
    passes = [
        Pass("untying", "no pass may change a product it does not mean", untie),
        Pass(
            "norm folding",
            "a rotation passes only a norm without weights",
            lambda g: fold_norms(g, {}),
            parts=fold_norms,
        ),
    ]
    if config.spin_r1.apply:
        reason = "a rotation of any kind passes only an RMSNorm; LayerNorms become that"
        passes.append(Pass("centring", reason, centre_residual))
    if config.spin_r4.apply:
        block, reason = config.spin_r4.block, "what follows judges by the values that are rounded"
        asked = named(config, "spin_r4")
        passes.append(
            Pass(
                "padding",
                "R4 mixes whole blocks of channels",
                lambda g: pad_gated(g, block, {}),
                lambda g, aside: pad_gated(g, block, aside),
            )
        )
        passes.append(Pass("R4", reason, lambda g: rotate_gated(g, block), gated_mlps, asked))
    return passes


def residual_turns(graph: Graph, config: EquivalentTransformationConfig) -> tuple[Graph, bool]:
    """Whether R1 is wanted and suits a prepared graph; if it does not suit, the graph says why.

    Raises:
        GraphError: it does not suit, and the configuration names it.
    """
    if not config.spin_r1.apply:
        return graph, False
    try:
        width = stream_width(graph)
        rotate_residual(graph, torch.eye(width, dtype=torch.float64))
    except GraphError as error:
        if named(config, "spin_r1"):
            raise
        return stepped_aside(graph, "R1", {str(error.where): error.what}), False
    return graph, width > 0


def named(config: EquivalentTransformationConfig, field: str) -> bool:
    """Whether a configuration asks for a transformation by name, and not by default."""
    return field in config.model_fields_set and getattr(config, field).apply


def rotations(
    config: EquivalentTransformationConfig,
    residual: Tensor | None,
    values: Mapping[str, Tensor] | None,
    head: Tensor | None,
) -> list[Pass]:
    """The rotations of a prepared graph, each None where it is not wanted.

    Args:
        config: which are named.
        residual: R1 ``[width of the stream]`` squared, float64.
        values: R2 ``[head_dim, head_dim]`` by attention, float64.
        head: the language model's R1 for the output of a vision encoder.
    """
    passes = []
    if residual is not None:
        r1, reason = residual, "spreads residual outliers over all channels"
        passes.append(Pass("R1", reason, lambda g: rotate_residual(g, r1), named=True))
    if values is not None:
        r2, reason = values, "spreads value outliers over each head; undone by the next product"
        passes.append(
            Pass(
                "R2", reason, lambda g: rotate_values(g, r2), value_paths, named(config, "spin_r2")
            )
        )
    if head is not None:
        matrix, reason = head, "features join rotated embeddings"
        passes.append(Pass("head rotation", reason, lambda g: rotate_head(g, matrix), named=True))
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
    known: tuple[tuple[str, str, Rule, str, Callable[[Graph], Graph]], ...] = (
        (
            "qk_rotation",
            "QkRotation",
            plain_key_paths,
            "exchanges extent within rotary pairs, which scales cannot",
            lambda g: rotate_keys(g, best_angles(g, statistics)),
        ),
        (
            "qk",
            "QK",
            key_paths,
            "evens rotary pairs; their length is free of rotations",
            lambda g: scale_keys(g, keys(g)),
        ),
        (
            "vo",
            "VO",
            value_paths,
            "evens what R2 leaves uneven between heads",
            lambda g: scale_values(g, choose(g, value_channels(g), "VO")),
        ),
        (
            "ud",
            "UD",
            gated_mlps,
            "evens a value no rotation reaches, as the gate's product is elementwise",
            lambda g: scale_gated(g, choose(g, gated_channels(g), "UD")),
        ),
        (
            "norm_conv",
            "NormConv",
            norm_channels,
            "gives norms a gain, which no rotation passes",
            lambda g: scale_norms(g, choose(g, norm_channels(g, {}), "NormConv")),
        ),
    )
    return [
        Pass(name, reason, apply, parts, named(config, field))
        for field, name, parts, reason, apply in known
        if getattr(config, field).apply
    ]


def judged_values(graph: Graph, config: EquivalentTransformationConfig) -> Collection[str]:
    """The values whose rows :func:`scalings` needs."""
    wanted = (
        (config.vo.apply, value_channels),
        (config.ud.apply, gated_channels),
        (config.norm_conv.apply, lambda g: norm_channels(g, {})),
    )
    return {name for on, channels in wanted if on for name in channels(graph)}


def transform(graph: Graph, passes: list[Pass]) -> Graph:
    """Apply the passes in order; the graph is verified after each.

    Raises:
        GraphError: one that the configuration names does not apply.
    """
    for step in passes:
        graph = step(graph)
        verify(graph)
    return graph
