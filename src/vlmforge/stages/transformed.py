"""Transformed: a component after all equivalent transformations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.formats.rotation import Rotation
from vlmforge.formats.samples import Sample
from vlmforge.graph.core import Graph
from vlmforge.graph.recent import with_recent
from vlmforge.learning.steps import Budget
from vlmforge.progress import Progress
from vlmforge.quantize.scheme import assign_codes, attention_operands, narrowable
from vlmforge.quantize.weights.formats import WeightFormat
from vlmforge.quantize.weights.rounding import weight_formats
from vlmforge.stages.pass_files import PassFiles
from vlmforge.stages.rotation import component_rotation
from vlmforge.stages.samples import rotated_feeds, sample_feeds
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.order import preparation, residual_turns, rotations, transform
from vlmforge.transform.precision import Precision
from vlmforge.transform.settings import Settings


@dataclass(frozen=True)
class Transformed:
    """A component ready to be quantized.

    Attributes:
        graph: after all transformations.
        rotation: R1 of the language model, which its features are in; None without one.
        loaders: each gives the feeds of one sample, rotated as the graph wants them.
        budget: says whether to go on learning.
    """

    graph: Graph
    rotation: Rotation | None
    loaders: Sequence[Callable[[], Mapping[str, Tensor]]]
    budget: Budget


def transform_component(
    graph: Graph,
    samples: Sequence[Sample],
    config: CompileConfig,
    rotation_path: Path | str | None,
    overrides: BitConfig.LayerOverrides | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    kept: PassFiles | None = None,
) -> Transformed:
    """The transformations a configuration asks for, applied to a captured component.

    Args:
        graph: as captured.
        samples: of this component; may be empty where nothing is learned and no scaling applies.
        config: which transformations.
        rotation_path: where R1 is written (language) or read (vision).
        overrides: of this component, for what judges by the rounding to come; none by default.
        device: where to compute, as torch names it.
        progress: is told of every step.
        kept: where passes of samples are kept.
    """
    overrides = overrides or BitConfig.LayerOverrides()
    graph = transform(graph, preparation(config.equivalent_transformation))
    formats = weight_formats(graph, config, overrides.weight_8bits)
    precision = imitated_precision(graph, config, overrides.activation_16bits, formats)
    settings = Settings(config.equivalent_transformation, precision, config.seed, device, progress)
    graph, rotation, residual = _rotated(graph, samples, config, settings, rotation_path)
    loaders = [partial(rotated_feeds, graph, sample, residual) for sample in samples]
    measured = None if kept is None else kept.file("measured", rotation)
    scaled = with_recent(scale(graph, loaders, settings, measured))
    return Transformed(scaled, rotation, loaders, settings.budget)


def _rotated(
    graph: Graph,
    samples: Sequence[Sample],
    config: CompileConfig,
    settings: Settings,
    rotation_path: Path | str | None,
) -> tuple[Graph, Rotation | None, Tensor | None]:
    """The prepared graph rotated, the rotation its features are in, and that of its own stream."""
    loaders = [partial(sample_feeds, graph, sample) for sample in samples]
    graph, turned = residual_turns(graph, settings.config)
    chosen = choose_rotations(graph, loaders, settings, turned)
    rotation = component_rotation(graph, config, rotation_path, chosen.residual)
    head = rotation.matrix if rotation and graph.component == VISION else None
    passes = rotations(settings.config, chosen.residual, chosen.values, head)
    residual = chosen.residual
    if rotation and graph.component == LANGUAGE and residual is not None:
        residual = rotation.matrix  # as the embeddings of the package have it
    return transform(graph, passes), rotation, residual


def imitated_precision(
    graph: Graph,
    config: CompileConfig,
    wide: tuple[str, ...],
    formats: Mapping[str, WeightFormat],
) -> Precision:
    """What transformations imitate; they leave the names of nodes as they are.

    Which inputs of products become int8 is seen only when all is transformed, so they count as
    int8 where any may: scales that suit int8 do int16 no harm.
    """
    narrow = narrowable(graph) if config.bit.activation_16_share < 1 else ()
    return Precision(
        assign_codes(graph, wide, narrow),
        {name: chosen.bits for name, chosen in formats.items()},
        {name: chosen.group for name, chosen in formats.items() if chosen.group},
        frozenset(attention_operands(graph)),
    )
