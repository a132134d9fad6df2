"""Commands of single stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmforge import console
from vlmforge.cli.combinations import refuse_beside
from vlmforge.cli.layout import SIDE, ImageSize, Kind, LayoutKind, MaxPixels, layout_of
from vlmforge.cli.options import (
    Answering,
    Answers,
    Compiling,
    ConfigFile,
    Device,
    Length,
    Model,
    NewTokens,
    On,
    Part,
    Recorded,
    Rotations,
    Samples,
    Scheme,
    Seed,
    Threads,
    WeightBits,
    WorkDir,
    app,
)
from vlmforge.cli.presets import load_config
from vlmforge.cli.ready import print_ready
from vlmforge.cli.threads import use_threads
from vlmforge.config import InferenceScheme

Data = Annotated[Path, typer.Option(help="Calibration data to make.")]


@app.command()
def images(
    context: typer.Context,
    num_images: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    own: Annotated[
        str | None,
        typer.Option("--images", metavar="DIR", help="Your own, or `synthetic`; COCO by default."),
    ] = None,
    source: Annotated[str | None, typer.Option("--from", hidden=True)] = None,
    output_dir: Annotated[Path, typer.Option(help="Directory to make.")] = Path("images"),
    seed: Annotated[int, typer.Option(min=0, help="Chooses among images, or draws.")] = 0,
    layout: Kind = LayoutKind.DYNAMIC,
    image_size: ImageSize = SIDE,
) -> None:
    """Collect calibration images: COCO 2017 validation, your own, or drawn scenes."""
    from vlmforge.calibrate.images import collect_images

    chosen = layout_of(context, layout, image_size, None)
    with console.progress() as report:
        collect_images(output_dir, num_images, own or source, seed, report, layout=chosen)


@app.command(cls=Compiling)
def calibrate(
    context: typer.Context,
    component: Annotated[Recorded, typer.Argument(help="language, vision, or text.")],
    model: Model,
    texts: Annotated[list[Path] | None, typer.Argument(help="Files, for text.")] = None,
    images_dir: Annotated[Path, typer.Option("--images", help="Calibration images.")] = Path(
        "images"
    ),
    output_dir: Data = Path("calibration_data"),
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    length: Length = 512,
    seed: Seed = 0,
    device: On = Device.CPU,
    answers: Answers = "own",
    dtype: Answering = None,
    threads: Threads = None,
    layout: Kind = LayoutKind.DYNAMIC,
    image_size: ImageSize = SIDE,
    max_pixels: MaxPixels = None,
) -> None:
    """Record what a component receives: prompts with answers, pixels, or windows of texts."""
    from vlmforge.calibrate.answers import answers_file
    from vlmforge.calibrate.record import record_vision
    from vlmforge.calibrate.text import record_text
    from vlmforge.formats.kinds import FOLDER, SAMPLES
    from vlmforge.formats.output import require_replaceable
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.calibration import Calibration, calibrate_language
    from vlmforge.stages.preflight import require_answers

    use_threads(threads)
    if component is not Recorded.LANGUAGE:
        refuse_beside(context, f"on {component.value} samples", "dtype", "max_new_tokens", "device")
    if component is Recorded.TEXT:
        refuse_beside(context, "on text samples", "answers", "layout", "image_size", "max_pixels")
    given = answers_file(answers) is not None
    if given:
        refuse_beside(context, "beside a file of --answers", "images_dir")
    elif component is Recorded.VISION:
        refuse_beside(context, "on vision samples, unless it names a file", "answers")
    chosen = layout_of(context, layout, image_size, max_pixels)
    data = require_replaceable(output_dir, FOLDER)
    part = "vision" if component is Recorded.VISION else "language"
    require_replaceable(data / part, SAMPLES)
    checkpoint, source = Checkpoint.open(model), None if given else images_dir
    answering = None if dtype is None else dtype.value
    lengths = (num_samples, max_new_tokens)
    calibration = Calibration(None, None, *lengths, seed, answering, chosen, answers)
    with console.progress() as report:
        if component is Recorded.TEXT:
            record_text(checkpoint, texts or [], data, num_samples, length, seed, report)
            return
        require_answers(checkpoint, calibration)
        if component is Recorded.VISION:
            where = (checkpoint, source, data, num_samples, chosen, report)
            record_vision(*where, answers=answers, seed=seed)
        else:
            calibrate_language(checkpoint, source, data, calibration, device.value, report)


@app.command(cls=Compiling)
def mblt(
    component: Part,
    model: Model,
    calibration: Annotated[Path, typer.Option(help="Calibration data.")] = Path("calibration_data"),
    work_dir: WorkDir = Path(),
    threads: Threads = None,
) -> None:
    """Capture a component as a float graph and check it against the original."""
    from vlmforge.formats.kinds import FOLDER
    from vlmforge.formats.output import require_replaceable
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.mblt import mblt_compile
    from vlmforge.stages.workspace import Workspace

    use_threads(threads)
    root = require_replaceable(work_dir, FOLDER)
    checkpoint = Checkpoint.open(model)
    space = Workspace(root, checkpoint.name)
    for output, kind in space.graph_outputs(component.value):
        require_replaceable(output, kind)
    path = space.mblt(component.value)
    with console.progress() as report:
        result = mblt_compile(checkpoint, component.value, path, calibration, report)
    worst = result["worst"]
    compared = f"{result['compared']} values agree with the original"
    console.print_text(f"{path}: {compared}, worst {worst['relative']:.1e} at {worst['name']}")


@app.command(cls=Compiling)
def mxq(
    component: Part,
    model: Annotated[
        Path | None, typer.Option("--mblt", help="The captured graph, if there are several.")
    ] = None,
    calibration: Annotated[Path, typer.Option(help="Calibration data.")] = Path("calibration_data"),
    work_dir: WorkDir = Path(),
    spin_weight_dir: Rotations = None,
    config: ConfigFile = None,
    weights: WeightBits = None,
    device: On = Device.CPU,
    threads: Threads = None,
    inference_scheme: Scheme = InferenceScheme.ALL,
) -> None:
    """Quantize a captured component to an integer program; the language model comes first."""
    from vlmforge.formats.kinds import FOLDER
    from vlmforge.formats.output import require_replaceable
    from vlmforge.formats.private import private_directory
    from vlmforge.stages.mxq import mxq_compile
    from vlmforge.stages.overrides import workspace_overrides
    from vlmforge.stages.workspace import Workspace

    use_threads(threads)
    rotations = spin_weight_dir and private_directory(spin_weight_dir)
    chosen = load_config(config, weights)
    root = require_replaceable(work_dir, FOLDER)
    source = model or Workspace.find_mblt(root, component.value)
    space = Workspace.of_mblt(source, component.value, root, rotations)
    for output, kind in space.program_outputs(component.value):
        require_replaceable(output, kind)
    overrides = workspace_overrides(chosen, space)
    with console.progress() as report:
        path = mxq_compile(
            source,
            space.mxq(component.value),
            calibration,
            device.value,
            inference_scheme,
            chosen,
            space.rotation,
            overrides.get(component.value),
            report,
        )
    console.print_text(f"{path}: {console.human_size(path.stat().st_size)}")


@app.command(cls=Compiling)
def package(
    model: Model,
    out: Annotated[Path, typer.Option(help="Package directory to make.")] = Path("package"),
    work_dir: WorkDir = Path(),
    spin_weight_dir: Rotations = None,
    config: ConfigFile = None,
    threads: Threads = None,
) -> None:
    """Join programs, embedding, tokenizer and processor into a directory that runs."""
    from vlmforge.formats.kinds import PACKAGE
    from vlmforge.formats.output import require_replaceable
    from vlmforge.formats.private import private_directory
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.package import write_package
    from vlmforge.stages.workspace import Workspace

    use_threads(threads)
    rotations = spin_weight_dir and private_directory(spin_weight_dir)
    out = require_replaceable(out, PACKAGE)
    checkpoint = Checkpoint.open(model)
    space = Workspace(work_dir, checkpoint.name, rotations)
    write_package(checkpoint, space, out, load_config(config))
    print_ready(out, sees="vision" in checkpoint.components)
