"""Observed: a component transformed, and the values it takes on the calibration samples.

All that rounding follows from; compiling and tuning share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmforge.arithmetic.kernels import has_order
from vlmforge.config import BitConfig, CompileConfig
from vlmforge.formats.mblt import read_mblt
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds
from vlmforge.graph.verify import verify
from vlmforge.progress import Progress
from vlmforge.quantize.observe.clipping import Clipping
from vlmforge.quantize.observe.held import held_at_once
from vlmforge.quantize.observe.ranges import Range
from vlmforge.quantize.scales.choice import Bound
from vlmforge.quantize.scheme import require_nodes
from vlmforge.stages.lengths import with_lengths
from vlmforge.stages.pass_files import PassFiles
from vlmforge.stages.samples import component_samples
from vlmforge.stages.transformed import Transformed, transform_component


@dataclass(frozen=True)
class Observed:
    """A component ready to be rounded.

    Attributes:
        transformed: graph, rotation and samples.
        calibration: fingerprint of the samples.
        samples: how they were made.
        held: those that are run through the component, of which all live values are held at once.
        ranges: of every value over the samples.
        bound: where int8 codes clip.
    """

    transformed: Transformed
    calibration: str
    samples: dict[str, Any]
    held: Sequence[Feeds]
    ranges: Mapping[str, Range]
    bound: Bound

    @property
    def graph(self) -> Graph:
        return self.transformed.graph


def observe_component(
    model: Path | str,
    calibration: Path | str,
    config: CompileConfig,
    rotation_path: Path | str | None,
    overrides: BitConfig.LayerOverrides,
    device: str = "cpu",
    progress: Progress | None = None,
    kept: Path | None = None,
) -> Observed:
    """Transform a captured component and run it on its calibration samples.

    Args:
        model: the ``.mblt`` file.
        calibration: calibration data of the same model.
        config: which transformations, and how ranges are chosen.
        rotation_path: where R1 is written (language) or read (vision).
        overrides: of this component.
        device: where to compute, as torch names it.
        progress: is told of every step.
        kept: where passes of samples are kept, unless something that is learned enters them.

    Raises:
        ConfigError: the overrides name a node that the graph lacks, or a length is above what the
            decoder allows.
        CalibrationError: the samples are missing, or of another model.
    """
    graph = with_lengths(read_mblt(model), config.llm)
    verify(graph)
    require_nodes(graph, overrides.activation_16bits)
    samples = component_samples(graph, calibration)
    told = samples.fingerprint(), samples.options()
    passes = None
    if kept is not None and has_order(device) and not config.learns_transformations:
        passes = PassFiles.of(kept, model, told[0], config, overrides)
    transformed = transform_component(
        graph, samples, config, rotation_path, overrides, device, progress, passes
    )
    clipping = Clipping.of(transformed.graph, config)
    held = held_at_once(transformed.graph, transformed.loaders)
    seen = None if passes is None else passes.file("observed", transformed.rotation)
    ranges = clipping.observe(transformed.graph, held, device, progress, seen)
    return Observed(transformed, *told, held, ranges, clipping.bound)
