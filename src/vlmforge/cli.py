"""The command line: every stage of the pipeline, and what one does with a package."""

from __future__ import annotations

import os
import sys
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmforge import console
from vlmforge.config import CompileConfig, InferenceScheme

if TYPE_CHECKING:
    from vlmforge.run.session import Session
    from vlmforge.workspace import Workspace

app = typer.Typer(
    name="vlmforge",
    help="Compile vision-language models into static-integer programs and run them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Component(str, Enum):
    """The two parts of a model that are compiled."""

    LANGUAGE = "language"
    VISION = "vision"


class Recorded(str, Enum):
    """What calibration samples are made of."""

    LANGUAGE = "language"
    VISION = "vision"
    TEXT = "text"


class Device(str, Enum):
    """Where the compiler computes."""

    CPU = "cpu"
    GPU = "gpu"


Model = Annotated[str, typer.Argument(help="Local directory or Hugging Face Hub id.")]
Part = Annotated[Component, typer.Argument(help="language or vision.")]
WorkDir = Annotated[Path, typer.Option(help="Directory of the stages' files.")]
Samples = Annotated[int, typer.Option(min=1, help="Calibration samples of each component.")]
NewTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="JSON, see docs/config.md.")]
Length = Annotated[int, typer.Option(min=8, help="Tokens of a text sample.")]
Seed = Annotated[int, typer.Option(min=0, help="Chooses among the windows of the texts.")]
On = Annotated[Device, typer.Option(help="Where the compiler computes.")]
Scheme = Annotated[InferenceScheme, typer.Option(help="How cores share the work.")]
RunScheme = Annotated[
    InferenceScheme | None,
    typer.Option("--inference-scheme", help="How cores share the work; as compiled by default."),
]
TargetKl = Annotated[float, typer.Option(min=0, help="Most KL divergence, nats a prediction.")]
TargetTop1 = Annotated[
    float, typer.Option(min=0, max=1, help="Least share of predictions that stay the same.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


def main() -> None:
    """Run the command line; expected failures exit with status 2."""
    with console.expected_failures():
        app()


@app.command()
def images(
    num_images: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    source: Annotated[Path | None, typer.Option("--from", help="Your own images.")] = None,
    output_dir: Annotated[Path, typer.Option(help="Directory to make.")] = Path("images"),
) -> None:
    """Collect calibration images: COCO 2017 validation, your own, or drawn scenes."""
    from vlmforge.calibrate.images import collect_images

    with console.progress() as report:
        collect_images(output_dir, num_images, source, progress=report)


@app.command()
def calibrate(
    component: Annotated[Recorded, typer.Argument(help="language, vision, or text.")],
    model: Model,
    texts: Annotated[list[Path] | None, typer.Argument(help="Files, for text.")] = None,
    images_dir: Annotated[Path, typer.Option("--images", help="Calibration images.")] = Path(
        "images"
    ),
    output_dir: Annotated[Path, typer.Option(help="Calibration data to make.")] = Path(
        "calibration_data"
    ),
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    length: Length = 512,
    seed: Seed = 0,
    device: On = Device.CPU,
) -> None:
    """Record what a component receives: prompts with answers, pixels, or windows of texts."""
    from vlmforge.calibrate.record import record_vision
    from vlmforge.calibrate.text import record_text
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.calibration import calibrate_language

    checkpoint = Checkpoint.open(model)
    with console.progress() as report:
        if component is Recorded.TEXT:
            record_text(checkpoint, texts or [], output_dir, num_samples, length, seed, report)
        elif component is Recorded.VISION:
            record_vision(checkpoint, images_dir, output_dir, num_samples, progress=report)
        else:
            calibrate_language(
                checkpoint,
                images_dir,
                output_dir,
                num_samples,
                max_new_tokens,
                device.value,
                report,
            )


@app.command()
def mblt(
    component: Part,
    model: Model,
    calibration: Annotated[Path, typer.Option(help="Calibration data.")] = Path("calibration_data"),
    work_dir: WorkDir = Path(),
) -> None:
    """Capture a component as a float graph and check it against the original."""
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.mblt import mblt_compile
    from vlmforge.workspace import Workspace

    checkpoint = Checkpoint.open(model)
    path = Workspace(work_dir, checkpoint.name).mblt(component.value)
    with console.progress() as report:
        result = mblt_compile(checkpoint, component.value, path, calibration, report)
    worst = result["worst"]
    compared = f"{result['compared']} values agree with the original"
    console.OUTPUT.print(f"{path}: {compared}, worst {worst['relative']:.1e} at {worst['name']}")


@app.command()
def mxq(
    component: Part,
    model: Annotated[
        Path | None, typer.Option("--mblt", help="The captured graph, if there are several.")
    ] = None,
    calibration: Annotated[Path, typer.Option(help="Calibration data.")] = Path("calibration_data"),
    work_dir: WorkDir = Path(),
    spin_weight_dir: Annotated[Path | None, typer.Option(help="Directory of rotations.")] = None,
    config: ConfigFile = None,
    device: On = Device.CPU,
    inference_scheme: Scheme = InferenceScheme.ALL,
) -> None:
    """Quantize a captured component to an integer program; the language model comes first."""
    from vlmforge.stages.mxq import mxq_compile
    from vlmforge.stages.overrides import split_overrides
    from vlmforge.workspace import COMPONENTS, Workspace

    source = model or Workspace.find_mblt(work_dir, component.value)
    space = Workspace.of_mblt(source, component.value, work_dir, spin_weight_dir)
    chosen = _config(config)
    captured = [name for name in COMPONENTS if space.mblt(name).is_file()]
    overrides = split_overrides(chosen, space, captured) if captured else {}
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
    console.OUTPUT.print(f"{path}: {console.human_size(path.stat().st_size)}")


@app.command()
def package(
    model: Model,
    out: Annotated[Path, typer.Option(help="Package directory to make.")] = Path("package"),
    work_dir: WorkDir = Path(),
    spin_weight_dir: Annotated[Path | None, typer.Option(help="Directory of rotations.")] = None,
    config: ConfigFile = None,
) -> None:
    """Join programs, embedding, tokenizer and processor into a directory that runs."""
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.stages.package import package as build
    from vlmforge.workspace import Workspace

    checkpoint = Checkpoint.open(model)
    build(checkpoint, Workspace(work_dir, checkpoint.name, spin_weight_dir), out, _config(config))
    image = " --image FILE" if "vision" in checkpoint.components else ""
    console.OUTPUT.print(f"{out} is ready: vlmforge chat {out}{image}")


@app.command("compile")
def compile_(
    model: Model,
    out: Annotated[Path, typer.Option(help="Package directory to make.")],
    images: Annotated[Path | None, typer.Option(help="Your own calibration images.")] = None,
    calibration_text: Annotated[
        list[Path] | None, typer.Option(help="Text to calibrate a plain decoder with.")
    ] = None,
    calibration_length: Length = 512,
    calibration_seed: Seed = 0,
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    config: ConfigFile = None,
    device: On = Device.CPU,
    inference_scheme: Scheme = InferenceScheme.ALL,
    work_dir: Annotated[
        Path | None, typer.Option(help="For everything between; OUT.work by default.")
    ] = None,
    target_kl: Annotated[
        float | None, typer.Option(min=0, help="Tune the configuration to this KL divergence.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run every stage: from a checkpoint to a package."""
    from vlmforge.pipeline import compile_model
    from vlmforge.stages.calibration import TextCalibration

    texts = calibration_text or []
    text = TextCalibration(texts, calibration_length, calibration_seed) if texts else None
    with console.progress() as report:
        summary = compile_model(
            model,
            out,
            images=images,
            text=text,
            num_samples=num_samples,
            max_new_tokens=max_new_tokens,
            config=_config(config),
            device=device.value,
            scheme=inference_scheme,
            work_dir=work_dir,
            choose=None if target_kl is None else partial(_tuned, target_kl, report),
            progress=report,
        )
    if as_json:
        console.print_json(vars(summary))
        return
    console.print_table("Stages", ("stage", "seconds"), _rounded(summary.seconds, ".1f"))
    errors = _rounded(summary.checks, ".1e")
    console.print_table("Captured against the original", ("component", "relative error"), errors)
    sizes = [(name, console.human_size(size)) for name, size in summary.files.items()]
    console.print_table("Files", ("file", "size"), sizes)


@app.command()
def chat(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    image: Annotated[list[Path] | None, typer.Option(help="Image to ask about.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The question; a chat without.")] = None,
    max_new_tokens: NewTokens = 500,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="0 is off.")] = 0,
    top_p: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Of sampling.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Size of the KV cache.")] = None,
    inference_scheme: RunScheme = None,
) -> None:
    """Ask a package about images, once or in a conversation."""
    from vlmforge.run.chat import Chat
    from vlmforge.run.generate import Options
    from vlmforge.run.sampling import Sampling
    from vlmforge.run.session import Session

    sampling = Sampling(repetition_penalty, temperature, top_k, top_p, seed=seed)
    options = Options(max_new_tokens, sampling)
    conversation = Chat(Session.open(package, max_length, inference_scheme), _write, options)
    for file in image or []:
        conversation.show(file)
    if prompt is not None:
        conversation.ask(prompt)
    else:
        conversation.run(_typed_lines())


@app.command("eval")
def evaluate(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    questions: Annotated[Path | None, typer.Option(help="JSONL: image, question, answer.")] = None,
    text: Annotated[list[Path] | None, typer.Option(help="Text to predict instead.")] = None,
    reference: Annotated[str | None, typer.Option(help="Original model to compare with.")] = None,
    max_new_tokens: NewTokens = 64,
    context: Annotated[int, typer.Option(help="Tokens of a window of text.")] = 512,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Tokens between windows; the context by default.")
    ] = None,
    min_context: Annotated[int, typer.Option(help="Tokens before one that counts.")] = 1,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens read of the texts.")] = None,
    device: Annotated[Device, typer.Option(help="Where the reference computes.")] = Device.CPU,
    inference_scheme: RunScheme = None,
    as_json: Json = False,
) -> None:
    """Answer questions greedily and count exact matches, or predict texts."""
    from vlmforge.run.session import Session

    if (questions is None) == (not text):
        raise typer.BadParameter("name either --questions FILE or --text FILE")
    if text:
        windowing = (context, stride, min_context, max_tokens)
        _evaluate_text(package, text, reference, windowing, device, as_json)
    elif questions is not None:
        session = Session.open(package, scheme=inference_scheme)
        _evaluate_questions(session, questions, reference, max_new_tokens, device, as_json)


def _evaluate_text(
    package: Path,
    texts: list[Path],
    reference: str | None,
    windowing: tuple[int, int | None, int, int | None],
    device: Device,
    as_json: bool,
) -> None:
    from vlmforge.evaluation import evaluate_package
    from vlmforge.run.windows import Windowing

    with console.progress() as report:
        facts = evaluate_package(
            package, texts, Windowing(*windowing), reference, device.value, report
        )
    if as_json:
        console.print_json(facts)
        return
    console.print_facts("Evaluation", facts)


def _evaluate_questions(
    session: Session,
    questions: Path,
    reference: str | None,
    max_new_tokens: int,
    device: Device,
    as_json: bool,
) -> None:
    from vlmforge.run.evaluate import evaluate as run
    from vlmforge.run.evaluate import read_questions

    asked = read_questions(questions)
    original = _reference(reference, device) if reference else None
    answered: list[tuple[str, str, str]] = []
    with console.progress() as report:

        def on_answer(question: Any, text: str) -> None:
            right = "yes" if question.is_answered_by(text) else "no"
            answered.append((question.question, text, right))
            report("answering", len(answered), len(asked))

        facts = run(
            session,
            asked,
            max_new_tokens=max_new_tokens,
            reference=original,
            on_answer=on_answer,
        )
    if as_json:
        console.print_json(facts)
        return
    console.print_table("Answers", ("question", "answer", "right"), answered)
    console.print_facts("Evaluation", {k: v for k, v in facts.items() if k != "kinds"})


@app.command()
def bench(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    prefill: Annotated[str, typer.Option(help="Lengths of prompts, in tokens.")] = "128,512",
    decode: Annotated[int, typer.Option(min=1, help="Tokens to generate.")] = 64,
    sessions: Annotated[int, typer.Option(min=1, help="Conversations side by side.")] = 4,
    threads: Annotated[int | None, typer.Option(min=1, help="All processors by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 5,
    profile: Annotated[bool, typer.Option(help="Say where the time goes.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how fast a package runs, beside what this machine can do."""
    from vlmforge.bench import table
    from vlmforge.bench.report import Plan, benchmark
    from vlmforge.run.scheme import THREADS, cores
    from vlmforge.run.session import Session

    count = threads or cores()
    os.environ[THREADS] = str(count)
    plan = Plan(_lengths(prefill), decode, sessions, count, rounds, profile)
    report = benchmark(lambda: Session.open(package), plan)
    if as_json:
        console.print_json(report)
        return
    console.print_table(str(package), table.COLUMNS, table.rows(report))
    for name, shares in (report["profile"] or {}).items():
        console.print_table(f"Profile: {name}", table.PROFILE_COLUMNS, table.profile_rows(shares))
    console.print_facts("Machine", table.facts(report))


@app.command("diagnose")
def diagnose_(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    reference: Annotated[str, typer.Option(help="The model that was compiled.")],
    questions: Annotated[Path | None, typer.Option(help="JSONL: image, question, answer.")] = None,
    images: Annotated[Path | None, typer.Option(help="Images to ask about.")] = None,
    text: Annotated[Path | None, typer.Option(help="Text to read, for any decoder.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Most inputs run.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer about --images.")] = 32,
    length: Annotated[int, typer.Option(min=2, help="Tokens of a piece of --text.")] = 256,
    work_dir: Annotated[Path | None, typer.Option(help="Of its compilation.")] = None,
    culprits: Annotated[int, typer.Option(min=1, help="Culprits shown.")] = 10,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Write a report for a browser.")] = None,
) -> None:
    """Compare a package with its original value by value and name what hurts most."""
    from vlmforge.diagnose.cases import Wanted
    from vlmforge.diagnose.html import write_html
    from vlmforge.diagnose.report import diagnose_package
    from vlmforge.diagnose.tables import tables

    wanted = Wanted(questions, images, text, samples, max_new_tokens, length)
    with console.progress() as report:
        found = diagnose_package(package, reference, wanted, work_dir, report)
    if html is not None:
        write_html(found, html)
    if as_json:
        console.print_json(found)
        return
    for table in tables(found, culprits):
        console.print_table(*table)


@app.command("tune")
def tune_(
    model: Annotated[str, typer.Argument(help="A model, or a work directory of its compilation.")],
    target_kl: TargetKl,
    target_top1: TargetTop1 = 0.0,
    out: Annotated[Path, typer.Option(help="Configuration to write.")] = Path("tuned.json"),
    config: ConfigFile = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Of a model's stages; NAME.work by default.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Your own calibration images.")] = None,
    calibration_text: Annotated[
        list[Path] | None, typer.Option(help="Text to calibrate a plain decoder with.")
    ] = None,
    calibration_length: Length = 512,
    num_samples: Samples = 100,
    max_new_tokens: NewTokens = 500,
    samples: Annotated[int, typer.Option(min=1, help="Samples that choices are judged on.")] = 2,
    length: Annotated[int, typer.Option(min=2, help="Most positions of each.")] = 256,
    as_json: Json = False,
) -> None:
    """Choose 16-bit activations and 8-bit weights for the least cost within a KL budget."""
    from vlmforge.stages.calibration import Calibration, TextCalibration
    from vlmforge.tune import tables
    from vlmforge.tune.judge import Extent
    from vlmforge.tune.search import Budget, save, tune
    from vlmforge.tune.space import find_space

    texts = calibration_text or []
    text = TextCalibration(texts, calibration_length) if texts else None
    calibration = Calibration(images, text, num_samples, max_new_tokens)
    extent = Extent(samples, length)
    with console.progress() as report:
        space = find_space(model, work_dir, calibration, report)
        found = tune(space, _config(config), Budget(target_kl, target_top1), extent, report)
    save(found, out)
    if as_json:
        console.print_json(tables.document(found))
        return
    console.print_table("Candidates, the best gain first", tables.COLUMNS, tables.rows(found))
    console.print_facts(f"Written to {out}", tables.facts(found))


@app.command("inspect")
def inspect_(
    file: Annotated[Path, typer.Argument(help="A .mblt, a .mxq or a package directory.")],
    as_json: Json = False,
) -> None:
    """Show what a file or package holds."""
    from vlmforge.inspection import inspect, shown_nodes

    facts = inspect(file)
    if as_json:
        console.print_json(facts)
        return
    parts = facts.get("programs", {file.name: facts})
    for name, part in parts.items():
        columns = ("node", "operator", "shape", "dtype", "scale")
        console.print_table(name, columns, shown_nodes(part))
    for name, part in {file.name: facts, **parts}.items():
        hidden = ("nodes", "programs")
        console.print_facts(name, {k: v for k, v in part.items() if k not in hidden})


def _config(path: Path | None) -> CompileConfig:
    return CompileConfig() if path is None else CompileConfig.load(path)


def _tuned(
    target_kl: float, report: console.Report, space: Workspace, config: CompileConfig
) -> CompileConfig:
    """The configuration tuned, and left in the work directory."""
    from vlmforge.tune.search import Budget, save, tune

    found = tune(space, config, Budget(target_kl), progress=report)
    save(found, space.root / "tuned.json")
    return found.config


def _lengths(text: str) -> list[int]:
    """The numbers of a list such as ``128,512``; it may be empty."""
    try:
        lengths = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        lengths = [0]
    if any(length < 1 for length in lengths):
        raise typer.BadParameter(f"--prefill is {text!r}, not numbers of tokens such as 128,512")
    return lengths


def _reference(model: str, device: Device) -> Any:
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.source.reference import ReferenceModel

    return ReferenceModel.load(Checkpoint.open(model), device.value)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _typed_lines() -> Any:
    while True:
        try:
            yield input("> ")
        except EOFError:
            return


def _rounded(values: dict[str, float], form: str) -> list[tuple[str, str]]:
    return [(name, format(value, form)) for name, value in values.items()]


if __name__ == "__main__":
    main()
