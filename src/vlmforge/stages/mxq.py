"""The quantization stage: a captured component and its samples to a ``.mxq`` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vlmforge.arithmetic.kernels import has_order
from vlmforge.config import BitConfig, CompileConfig, InferenceScheme, require_supported
from vlmforge.formats.mxq import MxqWriter
from vlmforge.graph.core import Graph
from vlmforge.learning.steps import Learning
from vlmforge.original.reference import torch_device
from vlmforge.progress import Progress
from vlmforge.quantize.emit import lower
from vlmforge.quantize.learn.codes import learned_codes
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.learn.scales import learned_rounding
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scales.narrowing import narrow_products
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import WeightFormat
from vlmforge.quantize.weights.kept import KeptRounding
from vlmforge.quantize.weights.rounding import Rounding, choose_rounding, weight_formats
from vlmforge.stages.observed import Observed, observe_component
from vlmforge.stages.version import code_facts, computing_facts
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks

STOPPED = "stopped"
"""What a program says of its learning where the user ended it."""


def mxq_compile(
    model: Path | str,
    save_path: Path | str,
    calib_data_path: Path | str,
    device: str = "cpu",
    inference_scheme: InferenceScheme = InferenceScheme.ALL,
    compile_config: CompileConfig | None = None,
    rotation_path: Path | str | None = None,
    overrides: BitConfig.LayerOverrides | None = None,
    progress: Progress | None = None,
    kept: Path | None = None,
    tasks: Tasks = HERE,
) -> Path:
    """Quantize a captured component to an integer program.

    Args:
        model: the ``.mblt`` file.
        save_path: the ``.mxq`` file to write.
        calib_data_path: calibration data of the same model.
        device: where to compute, ``"cpu"`` or ``"gpu"``.
        inference_scheme: recorded for the machine that runs the program.
        compile_config: how to quantize.
        rotation_path: R1's file, written for a language model and read for a vision encoder;
            ``matrixPath`` of the configuration overrides it.
        overrides: those of this component; those of the configuration by default.
        progress: is told of every step.
        kept: where passes of samples and rounded weights are kept, so that one that is interrupted
            goes on.
        tasks: who compensates the errors of rounding.
    """
    config = compile_config or CompileConfig()
    require_supported(config)
    overrides, where = overrides or config.bit.layer_overrides, str(torch_device(device))
    observed = observe_component(
        model, calib_data_path, config, rotation_path, overrides, where, progress, kept
    )
    graph, ranges, bound = observed.graph, observed.ranges, observed.bound
    graph.meta |= _provenance(observed, config, inference_scheme, where)
    wide = overrides.activation_16bits
    formats = weight_formats(graph, config, overrides.weight_8bits)
    narrow = narrow_products(graph, wide, ranges, bound, config.bit)
    codes = assign_codes(graph, wide, narrow)
    with MxqWriter(save_path) as writer:
        scales = choose_scales(graph, codes, ranges, bound)
        rounding = _rounding(observed, codes, scales, formats, config, where, kept, tasks)
        graph, rounding = learned(observed, codes, scales, rounding, config, where, progress)
        if observed.transformed.budget.stopped:
            graph.meta["learning"] = STOPPED
        writer.finish(lower(graph, codes, scales, rounding, writer, progress))
    return Path(save_path)


def _provenance(
    observed: Observed, config: CompileConfig, scheme: InferenceScheme, device: str
) -> dict[str, Any]:
    """What a program says of its making."""
    rotation = observed.transformed.rotation
    return {
        "rotation": rotation.fingerprint if rotation else "none",
        "calibration": observed.calibration,
        "samples": observed.samples,
        "sums": "stated" if has_order(device) and not config.learns else "library",
        "config": config.fingerprint(),
        "compile_config": config.portable_document(),
        "inference_scheme": scheme.value,
        "device": device,
    }


def _rounding(
    observed: Observed,
    codes: Mapping[str, str],
    scales: Scales,
    formats: Mapping[str, WeightFormat],
    config: CompileConfig,
    device: str,
    kept: Path | None,
    tasks: Tasks,
) -> Rounding:
    """The rounding that is asked for, which goes on with what is kept; nothing is learned yet."""
    graph, path = observed.graph, None
    if config.hessian_quant.apply:
        path = QuantizedPath(graph, codes, scales, observed.held, device)
    rounding = choose_rounding(graph, formats, config.hessian_quant.attributes, path, tasks)
    if kept is None:
        return rounding
    facts = (codes, scales, formats, config.hessian_quant.model_dump())
    return KeptRounding(rounding, graph, kept, path, *facts, _circumstances(observed, device))


def _circumstances(observed: Observed, device: str) -> list[object]:
    """What kept weights follow from besides the graph: samples, code, and who computes."""
    computing = {} if has_order(device) else computing_facts()
    return [observed.calibration, code_facts("stages.mxq"), device, computing]


def learned(
    observed: Observed,
    codes: Mapping[str, str],
    scales: Scales,
    rounding: Rounding,
    config: CompileConfig,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Graph, Rounding]:
    """The graph and the rounding after what the configuration lets learn, if anything."""
    graph, budget = observed.graph, observed.transformed.budget
    if config.learn_rounding.apply and not budget.stopped:
        learning = Learning(config.learn_rounding.steps, budget, device, progress)
        dtype = torch.bfloat16 if config.learn_rounding.bfloat16 else torch.float32
        rounding = learned_codes(graph, codes, scales, rounding, observed.held, learning, dtype)
    if config.learn_weight_scale.apply and not budget.stopped:
        learning = Learning(config.learn_weight_scale.steps, budget, device, progress)
        samples = observed.transformed.loaders
        return learned_rounding(graph, codes, scales, rounding, samples, learning)
    return graph, rounding
