"""The whole flow, stage by stage: read this file first.

    checkpoint ── capture ──► .mblt ── transform, quantize ──► .mxq ── package ──► directory
         └────── calibrate ──► samples ─────────┘

Every stage is a function here and a command of ``vlmforge``, and runs alone from the files of
the stage before it. :func:`compile_model` runs them all.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from vlmforge.calibrate.images import collect_images
from vlmforge.calibrate.record import record_language, record_vision
from vlmforge.calibrate.text import record_text
from vlmforge.capture.check import check
from vlmforge.capture.families import capture
from vlmforge.capture.original import Observer, load_streamed, run_language, run_vision
from vlmforge.config import (
    BitConfig,
    CalibrationMode,
    CompileConfig,
    InferenceScheme,
    require_supported,
)
from vlmforge.errors import CalibrationError, ConfigError
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.container import ContainerWriter
from vlmforge.formats.mblt import read_mblt, write_mblt
from vlmforge.formats.mxq import MxqWriter
from vlmforge.formats.rotation import Rotation, read_rotation, write_rotation
from vlmforge.formats.samples import Sample, Samples, read_samples
from vlmforge.graph.core import Graph
from vlmforge.graph.verify import verify
from vlmforge.package.build import build_package
from vlmforge.progress import Progress
from vlmforge.quantize.lower import lower
from vlmforge.quantize.narrowing import narrow_products
from vlmforge.quantize.observe import Range, observe
from vlmforge.quantize.quantized_path import QuantizedPath
from vlmforge.quantize.rounding import choose_rounding, weight_formats
from vlmforge.quantize.scales import Bound, choose_scales
from vlmforge.quantize.scheme import (
    assign_codes,
    attention_operands,
    gated_products,
    product_inputs,
    require_nodes,
)
from vlmforge.quantize.weights import WeightFormat
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import images_to_pixel_values
from vlmforge.source.reference import torch_device
from vlmforge.transform.order import preparation, rotations, transform
from vlmforge.transform.precision import Precision
from vlmforge.transform.rotations import choose_rotations
from vlmforge.transform.scales import scale
from vlmforge.transform.settings import Settings
from vlmforge.workspace import Workspace

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

CHECKED_ROWS = 128
"""Positions of the sample on which a captured text model is checked."""

FLOAT32_BYTES = 1 << 30
"""A model larger than this answers the calibration prompts in bfloat16."""


@dataclass(frozen=True)
class TextCalibration:
    """What a plain decoder is calibrated with.

    Attributes:
        files: UTF-8 texts.
        length: tokens of a sample.
        seed: of the choice of samples.
    """

    files: Sequence[Path]
    length: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Calibration:
    """What a model is calibrated with.

    Attributes:
        images: the user's own; COCO, or drawn scenes, without.
        text: for a plain decoder, and nothing else.
        num_samples: of each component.
        max_new_tokens: longest answer.
    """

    images: Path | None = None
    text: TextCalibration | None = None
    num_samples: int = 100
    max_new_tokens: int = 500


@dataclass
class Summary:
    """What a compilation did.

    Attributes:
        files: paths of the files made, with their sizes in bytes.
        seconds: wall time of each stage.
        checks: largest relative error of each captured component against the original.
    """

    files: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)


def compile_model(
    model: str,
    out: Path,
    *,
    images: Path | None = None,
    text: TextCalibration | None = None,
    num_samples: int = 100,
    max_new_tokens: int = 500,
    config: CompileConfig | None = None,
    device: str = "cpu",
    scheme: InferenceScheme = InferenceScheme.ALL,
    work_dir: Path | None = None,
    choose: Callable[[Workspace, CompileConfig], CompileConfig] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Compile a checkpoint into a package.

    Args:
        model: a local directory or an id on the Hugging Face Hub.
        out: the package directory to make.
        images: the user's own calibration images; COCO, or drawn scenes, without.
        text: what a plain decoder is calibrated with, and nothing else is.
        num_samples: calibration samples of each component.
        max_new_tokens: longest calibration answer.
        config: how to quantize.
        device: ``"cpu"`` or ``"gpu"``.
        scheme: how the cores of the target share the work.
        work_dir: for everything between; ``<out>.work`` by default.
        choose: gives the configuration to quantize with, once graphs and samples are there.
        progress: is told of every step.

    Raises:
        CalibrationError: a plain decoder without texts, or texts for another model.
    """
    config = config or CompileConfig()
    require_supported(config)
    torch_device(device)
    checkpoint = Checkpoint.open(model)
    space = Workspace(work_dir or out.with_name(f"{out.name}.work"), checkpoint.name)
    summary = Summary()
    stage = partial(_timed, summary)

    calibration = Calibration(images, text, num_samples, max_new_tokens)
    prepare_model(checkpoint, space, calibration, device, summary, progress)
    if choose is not None:
        config = stage("tune", choose, space, config)
    _quantize(stage, checkpoint, space, device, scheme, config, progress)
    stage("package", package, checkpoint, space, out, config)
    graphs = [space.mblt(component) for component in checkpoint.components]
    summary.files = _sizes([*graphs, *sorted(p for p in out.iterdir() if p.is_file())])
    return summary


def prepare_model(
    checkpoint: Checkpoint,
    space: Workspace,
    calibration: Calibration,
    device: str = "cpu",
    summary: Summary | None = None,
    progress: Progress | None = None,
) -> Summary:
    """The stages before quantization: samples and captured graphs, left in the workspace.

    Raises:
        CalibrationError: a plain decoder without texts, or texts for another model.
    """
    _require_calibration(checkpoint, calibration.text)
    summary = summary or Summary()
    stage, text = partial(_timed, summary), calibration.text
    if text is not None:
        stage(
            "calibrate text", record_text, checkpoint, text.files, space.calibration,
            calibration.num_samples, text.length, text.seed, progress,
        )  # fmt: skip
    else:
        settings = (calibration.images, calibration.num_samples, calibration.max_new_tokens)
        _calibrate_with_images(stage, checkpoint, space, *settings, device, progress)
    for component in checkpoint.components:
        report = stage(
            f"mblt {component}", mblt_compile, checkpoint, component,
            space.mblt(component), space.calibration, progress,
        )  # fmt: skip
        summary.checks[component] = report["worst"]["relative"]
    return summary


def _calibrate_with_images(
    stage: Callable[..., Any],
    checkpoint: Checkpoint,
    space: Workspace,
    images: Path | None,
    num_samples: int,
    max_new_tokens: int,
    device: str,
    progress: Progress | None,
) -> None:
    source = stage("images", collect_images, space.images, num_samples, images, progress=progress)
    where = (checkpoint, source, space.calibration, num_samples)
    options = (max_new_tokens, device, progress)
    stage("calibrate language", calibrate_language, *where, *options)
    stage("calibrate vision", record_vision, *where, progress=progress)


def _quantize(
    stage: Callable[..., Any],
    checkpoint: Checkpoint,
    space: Workspace,
    device: str,
    scheme: InferenceScheme,
    config: CompileConfig,
    progress: Progress | None,
) -> None:
    overrides = split_overrides(config, space, checkpoint.components)
    for component in checkpoint.components:
        stage(
            f"mxq {component}", mxq_compile, space.mblt(component), space.mxq(component),
            space.calibration, device, scheme, config, space.rotation, overrides[component],
            progress,
        )  # fmt: skip


def calibrate_language(
    checkpoint: Checkpoint,
    images: Path,
    output_dir: Path,
    num_samples: int | None,
    max_new_tokens: int = 500,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Language samples; a large model answers in bfloat16, so that no float copy is held."""
    elements = sum(torch.Size(checkpoint.shape(name)).numel() for name in checkpoint.names())
    dtype = "float32" if 4 * elements <= FLOAT32_BYTES else "bfloat16"
    where = (checkpoint, images, output_dir, num_samples)
    return record_language(*where, max_new_tokens, device, dtype, progress=progress)


def mblt_compile(
    checkpoint: Checkpoint,
    component: str,
    save_path: Path,
    calib_data_path: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Capture a component, write it, and check it against the original on one sample.

    Writes ``save_path`` (``.mblt``) and beside it ``.infer``, every value of the sample, and
    ``.json``, the report returned: per value shape, cosine, largest error and SQNR.

    Raises:
        CaptureError: a value differs from the original's by more than 1e-4 of its range.
    """
    graph = capture(checkpoint, component)
    samples = component_samples(graph, calib_data_path)
    write_mblt(graph, save_path, progress)
    feeds = _feeds(graph, samples[0], CHECKED_ROWS)
    original = load_streamed(checkpoint)
    if component == "language":
        run: Callable[[Observer], None] = partial(run_language, original, feeds)
    else:
        run = partial(run_vision, original, *_pixels(graph, feeds["images"]))
    with ContainerWriter(save_path.with_suffix(".infer"), "infer") as writer:
        for name, value in feeds.items():
            writer.add(name, value.numpy())
        report = check(graph, feeds, run, lambda name, value: writer.add(name, value.numpy()))
        writer.finish({"model": checkpoint.model_id, "sample": samples[0].name})
    with atomic_file(save_path.with_suffix(".json")) as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())
    return report


def mxq_compile(
    model: Path,
    save_path: Path,
    calib_data_path: Path,
    device: str = "cpu",
    inference_scheme: InferenceScheme = InferenceScheme.ALL,
    compile_config: CompileConfig | None = None,
    rotation_path: Path | None = None,
    overrides: BitConfig.LayerOverrides | None = None,
    progress: Progress | None = None,
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
    """
    config = compile_config or CompileConfig()
    require_supported(config)
    graph = read_mblt(model)
    verify(graph)
    overrides = overrides or config.bit.layer_overrides
    require_nodes(graph, overrides.activation_16bits)
    formats = weight_formats(graph, config, overrides.weight_8bits)
    samples = component_samples(graph, calib_data_path)
    where = str(torch_device(device))
    transformed = transform_component(
        graph, samples, config, rotation_path, overrides, where, progress
    )
    graph, rotation, loaders = transformed.graph, transformed.rotation, transformed.loaders
    graph.meta |= {
        "rotation": rotation.fingerprint if rotation else "none",
        "calibration": samples.fingerprint(),
        "config": config.fingerprint(),
        "compile_config": config.portable_document(),
        "inference_scheme": inference_scheme.value,
    }
    ranges, bound = observe_component(transformed, config, where, progress)
    wide, share = overrides.activation_16bits, config.bit.activation_16_share
    narrow = narrow_products(graph, wide, ranges, bound, share)
    codes = assign_codes(graph, wide, narrow)
    with MxqWriter(save_path) as writer:
        scales = choose_scales(graph, codes, ranges, bound)
        path = partial(QuantizedPath, graph, codes, scales, device=where)
        rounding = choose_rounding(graph, formats, config.hessian_quant, path, loaders)
        writer.finish(lower(graph, codes, scales, rounding, writer, progress))
    return save_path


@dataclass(frozen=True)
class Transformed:
    """A component ready to be quantized.

    Attributes:
        graph: after all transformations.
        rotation: R1 of the language model, which its features are in; None without one.
        loaders: each gives the feeds of one sample, rotated as the graph wants them.
    """

    graph: Graph
    rotation: Rotation | None
    loaders: Sequence[Callable[[], Mapping[str, Tensor]]]


def transform_component(
    graph: Graph,
    samples: Sequence[Sample],
    config: CompileConfig,
    rotation_path: Path | None,
    overrides: BitConfig.LayerOverrides | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
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
    """
    overrides = overrides or BitConfig.LayerOverrides()
    formats = weight_formats(graph, config, overrides.weight_8bits)
    precision = _precision(graph, config, overrides.activation_16bits, formats)
    settings = Settings(config.equivalent_transformation, precision, config.seed, device, progress)
    graph, rotation = _rotated(graph, samples, config, settings, rotation_path)
    loaders = [partial(_rotated_feeds, graph, sample, rotation) for sample in samples]
    return Transformed(scale(graph, loaders, settings), rotation, loaders)


def observe_component(
    transformed: Transformed,
    config: CompileConfig,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[dict[str, Range], Bound]:
    """The range of every value over the calibration samples, and where int8 codes clip."""
    graph = transformed.graph
    bound, tail, histograms = _clipping(graph, config)
    clipped = product_inputs(graph)
    loaders = transformed.loaders
    return observe(graph, loaders, tail, device, progress, clipped, histograms), bound


def _rotated(
    graph: Graph,
    samples: Sequence[Sample],
    config: CompileConfig,
    settings: Settings,
    rotation_path: Path | None,
) -> tuple[Graph, Rotation | None]:
    """The rotated graph, and the rotation its features are in."""
    graph = transform(graph, preparation(settings.config))
    loaders = [partial(_feeds, graph, sample) for sample in samples]
    chosen = choose_rotations(graph, loaders, settings)
    rotation = component_rotation(graph, config, rotation_path, chosen.residual)
    head = rotation.matrix if rotation and graph.component == "vision" else None
    return transform(graph, rotations(chosen.residual, chosen.values, head)), rotation


def component_rotation(
    graph: Graph, config: CompileConfig, rotation_path: Path | None, residual: Tensor | None
) -> Rotation | None:
    """R1 of the language model: written when it is compiled, read for a vision encoder.

    Args:
        graph: the component.
        config: names another file for a vision encoder in ``matrixPath``.
        rotation_path: where R1 is kept.
        residual: the rotation of this component's own stream ``[hidden, hidden]``, float64.

    Raises:
        RotationError: the vision encoder's R1 is missing or of another model.
        ConfigError: nobody says where R1 is.
    """
    head, meta = config.equivalent_transformation.head_out_ch_rotation, graph.meta
    language = graph.component == "language"
    if residual is None if language else not head.apply:
        return None
    path = rotation_path if language else head.matrix_path or rotation_path
    if path is None:
        raise ConfigError(
            "nobody says where the rotation R1 is kept", mend="give --spin-weight-dir"
        )
    identity = {"model_fingerprint": meta["model_fingerprint"]}
    if residual is not None and language:
        write_rotation(path, Rotation.of(residual), model=meta["model"], **identity)
    return read_rotation(path, size=meta["hidden_size"], **identity)


def package(
    checkpoint: Checkpoint, space: Workspace, output: Path, config: CompileConfig | None = None
) -> Path:
    """Join the compiled parts of a workspace into a package directory."""
    rotated = config is None or config.equivalent_transformation.spin_r1.apply
    rotation = read_r1(checkpoint, space.rotation) if rotated else None
    vision = space.mxq("vision") if "vision" in checkpoint.components else None
    return build_package(checkpoint, space.mxq("language"), vision, rotation, output)


def read_r1(checkpoint: Checkpoint, path: Path) -> Rotation:
    """The rotation a language model's compilation wrote; raises :class:`RotationError`."""
    size = checkpoint.shape("language_model.embed_tokens.weight")[1]
    return read_rotation(path, size=size, model_fingerprint=checkpoint.fingerprint())


def _precision(
    graph: Graph,
    config: CompileConfig,
    wide: tuple[str, ...],
    formats: Mapping[str, WeightFormat],
) -> Precision:
    """What transformations imitate; they leave the names of nodes as they are.

    Which elementwise products become int8 is seen only when all is transformed, so they count as
    int8 where any may: scales that suit int8 do int16 no harm.
    """
    gated = {node.name for node in gated_products(graph)}
    narrow = gated if config.bit.activation_16_share < 1 else set()
    return Precision(
        assign_codes(graph, wide, narrow),
        {name: chosen.bits for name, chosen in formats.items()},
        {name: chosen.group for name, chosen in formats.items() if chosen.group},
        frozenset(attention_operands(graph)),
    )


def _best_bound(observed: Range) -> float:
    return observed.bound() if observed.histogram is None else observed.histogram.best_bound()


def _clipping(graph: Graph, config: CompileConfig) -> tuple[Bound, float, set[str]]:
    """Where int8 codes clip, and what is observed to find it.

    That is the share of the largest elements kept, and the values with histograms.
    """
    gated = {node.name for node in gated_products(graph)}
    if config.calibration.mode == CalibrationMode.HISTOGRAM:
        return _best_bound, 0.0, gated | product_inputs(graph)
    if config.calibration.mode == CalibrationMode.MAX:
        return Range.bound, 0.0, gated
    settings = config.calibration.max_percentile
    return partial(Range.bound, percentile=settings.percentile), settings.topk_ratio, gated


def component_samples(graph: Graph, directory: Path) -> Samples:
    """The calibration samples of a graph's component; raises :class:`CalibrationError`."""
    expected = {
        name: tuple(dim if isinstance(dim, int) else None for dim in value.shape)
        for name, value in graph.inputs.items()
        if name != "logits_index"
    }
    return read_samples(
        directory,
        graph.component,
        model_fingerprint=graph.meta["model_fingerprint"],
        expect=expected,
    )


def _feeds(graph: Graph, sample: Sample, rows: int | None = None) -> dict[str, torch.Tensor]:
    arrays = sample.load()
    feeds = {name: torch.from_numpy(arrays[name]) for name in graph.inputs if name in arrays}
    if graph.component == "language":
        feeds = {name: value[:, :rows] for name, value in feeds.items()}
        feeds["logits_index"] = torch.arange(feeds["inputs_embeds"].shape[1])
    return feeds


def _rotated_feeds(
    graph: Graph, sample: Sample, rotation: Rotation | None
) -> Mapping[str, torch.Tensor]:
    feeds = _feeds(graph, sample)
    if graph.component == "language" and rotation is not None:
        feeds["inputs_embeds"] = (feeds["inputs_embeds"].double() @ rotation.matrix).float()
    return feeds


def _pixels(graph: Graph, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    meta = graph.meta
    values = images_to_pixel_values(images.numpy(), meta["patch_size"], meta["merge_size"])
    grid = [1, *(side // meta["patch_size"] for side in meta["image_size"])]
    return torch.from_numpy(values), torch.tensor([grid])


def _require_calibration(checkpoint: Checkpoint, text: TextCalibration | None) -> None:
    """A plain decoder is calibrated with texts, a vision-language model with images."""
    plain = "vision" not in checkpoint.components
    if plain and text is None:
        raise CalibrationError(
            "a plain decoder is calibrated with texts, and none are given",
            where=checkpoint.path,
            mend="name them with --calibration-text FILE",
        )
    if not plain and text is not None:
        raise CalibrationError(
            "texts calibrate plain decoders only; this model also sees",
            where=checkpoint.path,
            mend="leave out --calibration-text; --images DIR names your own images",
        )


def split_overrides(
    config: CompileConfig, space: Workspace, components: Sequence[str]
) -> dict[str, BitConfig.LayerOverrides]:
    """The overrides of each component."""
    graphs = [read_mblt(space.mblt(component), verify=False) for component in components]
    names = config.bit.layer_overrides.model_dump()
    elsewhere = {name for graph in graphs[1:] for name in graph.nodes}
    for listed in names.values():
        require_nodes(graphs[0], [name for name in listed if name not in elsewhere])
    return {graph.component: component_overrides(graph, config) for graph in graphs}


def component_overrides(graph: Graph, config: CompileConfig) -> BitConfig.LayerOverrides:
    """The overrides of the nodes the graph has."""
    names = config.bit.layer_overrides.model_dump()
    found = {key: tuple(n for n in listed if n in graph.nodes) for key, listed in names.items()}
    return BitConfig.LayerOverrides(**found)


def _sizes(paths: Sequence[Path]) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in paths}


def _timed(
    summary: Summary, name: str, stage: Callable[..., Result], *args: Any, **options: Any
) -> Result:
    start = time.perf_counter()
    result = stage(*args, **options)
    summary.seconds[name] = time.perf_counter() - start
    return result
