"""Commands that run many stages: compile and tune."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmforge import console
from vlmforge.config import CompileConfig, InferenceScheme

if TYPE_CHECKING:
    from vlmforge.pipeline import Summary
    from vlmforge.stages.calibration import TextCalibration
    from vlmforge.stages.foreseen import Foreseen
    from vlmforge.stages.workspace import Workspace

from vlmforge.cli.combinations import refuse_beside, refuse_idle_calibration
from vlmforge.cli.layout import SIDE, ImageSize, Kind, LayoutKind, MaxPixels, layout_of
from vlmforge.cli.options import (
    Answering,
    Answers,
    Between,
    Compiling,
    ConfigFile,
    ConfigFiles,
    Device,
    Events,
    Fresh,
    Images,
    Json,
    Length,
    Model,
    NewTokens,
    OldSeed,
    On,
    OnRay,
    Samples,
    Scheme,
    Seed,
    TargetKl,
    TargetTop1,
    Telling,
    Texts,
    Threads,
    WeightBits,
    app,
)
from vlmforge.cli.presets import load_config, load_configs
from vlmforge.cli.ready import print_ready
from vlmforge.cli.resumable import resumable
from vlmforge.cli.sign import SignKey, read_key
from vlmforge.cli.threads import use_threads

ASIDE = ("component", "transformation", "at", "reason")

Tuning = Annotated[
    float | None, typer.Option(min=0, help="Tune the configuration to this KL divergence.")
]


@app.command("compile", cls=Telling)
def compile_(
    context: typer.Context,
    model: Model,
    out: Annotated[Path, typer.Option(help="Package directory to make.")],
    images: Images = None,
    calibration_text: Texts = None,
    calibration_length: Length = 512,
    seed: Seed = 0,
    calibration_seed: OldSeed = None,
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    answers: Answers = "own",
    config: ConfigFiles = None,
    weights: WeightBits = None,
    device: On = Device.CPU,
    dtype: Answering = None,
    threads: Threads = None,
    layout: Kind = LayoutKind.DYNAMIC,
    image_size: ImageSize = SIDE,
    max_pixels: MaxPixels = None,
    inference_scheme: Scheme = InferenceScheme.ALL,
    work_dir: Between = None,
    sign: SignKey = None,
    target_kl: Tuning = None,
    fresh: Fresh = False,
    ray: OnRay = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    as_json: Events = False,
) -> None:
    """Run every stage: from a checkpoint to a package; one that was interrupted goes on."""
    from vlmforge.pipeline import compile_model, plan_model

    use_threads(threads)
    if config is not None and len(config) > 1:
        refuse_beside(context, "beside several configurations", "target_kl")
    asked: dict[str, Any] = {
        "images": images,
        "text": _texts(context, calibration_text, calibration_length),
        "num_samples": num_samples,
        "max_new_tokens": max_new_tokens,
        "seed": seed if calibration_seed is None else calibration_seed,
        "config": load_configs(config or (), weights),
        "device": device.value,
        "dtype": None if dtype is None else dtype.value,
        "layout": layout_of(context, layout, image_size, max_pixels),
        "answers": answers,
        "scheme": inference_scheme,
        "work_dir": work_dir,
        "sign": None if sign is None else read_key(sign),
        "fresh": fresh,
        "ray": ray,
    }
    tuning = partial(_tuning, target_kl, out, work_dir, fresh)
    if plan:
        return _print_plan(plan_model(model, out, choose=tuning(), **asked), as_json)
    with resumable(fresh), console.progress(events=as_json) as display:
        asked["choose"] = tuning(display)
        summary = compile_model(model, out, announce=display.note, progress=display, **asked)
    _tell(summary, out, asked["config"], as_json)


def _tell(
    summary: Summary,
    out: Path,
    config: CompileConfig | dict[str, CompileConfig],
    as_json: bool,
) -> None:
    if as_json:
        console.tell("done", {"summary": asdict(summary)})
    else:
        _print_summary(summary, out, config)


def _planning(command: Callable[..., None]) -> Callable[..., None]:
    """A command that says what another would do, with the same options."""

    @wraps(command)
    def planned(**given: Any) -> None:
        command(**given, plan=True)

    signature = inspect.signature(command, eval_str=True)
    kept = [each for name, each in signature.parameters.items() if name != "plan"]
    planned.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    planned.__doc__ = "Say which stages a compile would run, why, and what they take."
    return planned


app.command("plan", cls=Compiling)(_planning(compile_))


def _print_plan(foreseen: Foreseen, as_json: bool) -> None:
    if as_json:
        console.print_json(foreseen.document())
        return
    console.print_text(foreseen.model)
    rows = [
        (
            each.step.name,
            each.sentence,
            f"{cost.seconds:.0f}",
            console.human_size(cost.memory),
            console.human_size(cost.left + cost.beside),
        )
        for each in foreseen.steps
        for cost in [foreseen.costs[each.step.name]]
    ]
    console.print_table("Plan", ("step", "why", "seconds", "memory", "disk"), rows)
    console.print_text(foreseen.sentence())


def _texts(context: typer.Context, files: list[Path] | None, length: int) -> TextCalibration | None:
    """What a plain decoder is calibrated with, if anything."""
    from vlmforge.stages.calibration import TextCalibration

    refuse_idle_calibration(context, bool(files))
    return TextCalibration(files, length) if files else None


def _print_summary(
    summary: Summary, out: Path, config: CompileConfig | dict[str, CompileConfig]
) -> None:
    stages = [
        (name, f"{seconds:.1f}", f"{summary.foreseen[name].seconds:.1f}")
        for name, seconds in summary.seconds.items()
    ]
    if stages:
        console.print_table("Stages", ("stage", "seconds", "foreseen"), stages)
    if summary.memory is not None and stages:
        foreseen = max(summary.foreseen[name].memory for name in summary.seconds)
        sizes = console.human_size(summary.memory), console.human_size(foreseen)
        console.print_text(f"{sizes[0]} of memory at the height, {sizes[1]} foreseen.")
    errors = _rounded(summary.checks, ".1e")
    console.print_table("Captured against the original", ("component", "relative error"), errors)
    if summary.aside:
        console.print_table("Transformations that step aside", ASIDE, _aside(summary))
    if summary.answers is not None:
        console.print_text(f"Answers in the calibration samples: {summary.answers}")
    files = [(name, console.human_size(size)) for name, size in summary.files.items()]
    console.print_table("Files", ("file", "size"), files)
    if summary.largest is not None:
        console.print_text(summary.largest.sentence())
    for package in [out / name for name in config] if isinstance(config, dict) else [out]:
        print_ready(package, sees="vision" in summary.checks)


@app.command("tune", cls=Compiling)
def tune_(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A model, or a work directory of its compilation.")],
    target_kl: TargetKl,
    target_top1: TargetTop1 = 0.0,
    out: Annotated[Path, typer.Option(help="Configuration to write.")] = Path("tuned.json"),
    config: ConfigFile = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Of a model's stages; NAME.work by default.")
    ] = None,
    images: Images = None,
    calibration_text: Texts = None,
    calibration_length: Length = 512,
    seed: Seed = 0,
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    answers: Answers = "own",
    samples: Annotated[int, typer.Option(min=1, help="Samples that choices are judged on.")] = 2,
    length: Annotated[int, typer.Option(min=2, help="Most positions of each.")] = 256,
    dtype: Answering = None,
    threads: Threads = None,
    layout: Kind = LayoutKind.DYNAMIC,
    image_size: ImageSize = SIDE,
    max_pixels: MaxPixels = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Choose 16-bit activations and 8-bit weights for the least cost within a KL budget."""
    from vlmforge.formats.kinds import CONFIGURATION
    from vlmforge.formats.output import require_replaceable
    from vlmforge.stages.calibration import Calibration
    from vlmforge.tune import tables
    from vlmforge.tune.judge import Extent
    from vlmforge.tune.search import Budget, save, tune
    from vlmforge.tune.space import opened_space

    use_threads(threads)
    out = require_replaceable(out, CONFIGURATION)
    text = _texts(context, calibration_text, calibration_length)
    answering = None if dtype is None else dtype.value
    sizes = layout_of(context, layout, image_size, max_pixels)
    lengths = (num_samples, max_new_tokens)
    calibration = Calibration(images, text, *lengths, seed, answering, sizes, answers)
    extent = Extent(samples, length)
    told: dict[str, Any] = {"announce": console.warn, "fresh": fresh}
    with (
        resumable(fresh),
        console.progress() as report,
        opened_space(model, work_dir, calibration, report, **told) as space,
    ):
        found = tune(space, load_config(config), Budget(target_kl, target_top1), extent, report)
    save(found, out)
    if as_json:
        console.print_json(tables.document(found))
        return
    console.print_table("Candidates, the best gain first", tables.COLUMNS, tables.rows(found))
    console.print_facts(f"Written to {out}", tables.facts(found))


def _tuning(
    target_kl: float | None,
    out: Path,
    work_dir: Path | None,
    fresh: bool,
    display: console.Display | None = None,
) -> Callable[[Workspace, CompileConfig], CompileConfig] | None:
    """What tunes, if a target is given; the configuration it leaves replaces none edited."""
    from vlmforge.formats.kinds import CONFIGURATION
    from vlmforge.formats.output import require_replaceable
    from vlmforge.tune.search import Budget
    from vlmforge.tune.step import TUNED, tuned

    if target_kl is None:
        return None
    require_replaceable((work_dir or Path(f"{out}.work")) / TUNED, CONFIGURATION)
    told: dict[str, Any] = {"fresh": fresh, "progress": display}
    if display is not None:
        told["announce"] = display.note
    return partial(tuned, budget=Budget(target_kl), **told)


def _aside(summary: Summary) -> list[tuple[str, str, str, str]]:
    """A row for each component, transformation and reason, with the first node and their number."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for component, passes in summary.aside.items():
        for name, parts in passes.items():
            for node, reason in parts.items():
                rows.setdefault((component, name, reason), []).append(node)
    return [
        (component, name, nodes[0] + (f" and {len(nodes) - 1} more" if nodes[1:] else ""), reason)
        for (component, name, reason), nodes in rows.items()
    ]


def _rounded(values: dict[str, float], form: str) -> list[tuple[str, str]]:
    return [(name, format(value, form)) for name, value in values.items()]
