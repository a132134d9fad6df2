"""The application, and the arguments and options its commands share."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from vlmforge import __version__, console
from vlmforge.cli.heap import keep_pages
from vlmforge.cli.presets import Weights
from vlmforge.config import InferenceScheme
from vlmforge.libraries import require_libraries


class Commands(TyperGroup):
    """The commands; whichever runs, its failures are told without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with console.expected_failures():
            return super().invoke(ctx)


class Compiling(TyperCommand):
    """A command that needs the compiler's libraries; without them it ends before any work."""

    def invoke(self, ctx: Any) -> Any:
        require_libraries(ctx.command_path)
        keep_pages()
        return super().invoke(ctx)


class Telling(Compiling):
    """One that tells programs of its failures, too, if it is asked for events."""

    def invoke(self, ctx: Any) -> Any:
        with console.failures_told() if ctx.params.get("as_json") else nullcontext():
            return super().invoke(ctx)


app = typer.Typer(
    name="vlmforge",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print_text(f"vlmforge {__version__}")
        raise typer.Exit


@app.callback()
def _vlmforge(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Compile vision-language models into static-integer programs and run them."""


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
    CUDA = "cuda"


class Dtype(str, Enum):
    """Arithmetic of the original model."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


Model = Annotated[str, typer.Argument(help="Local directory or Hugging Face Hub id.")]
Part = Annotated[Component, typer.Argument(help="language or vision.")]


Rotations = Annotated[Path | None, typer.Option(help="Directory of rotations, yours alone.")]
Between = Annotated[Path | None, typer.Option(help="For everything between; OUT.work by default.")]
WorkDir = Annotated[Path, typer.Option(help="Directory of the stages' files.")]
Samples = Annotated[int, typer.Option(min=1, help="Calibration samples of each component.")]
NewTokens = Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="JSON, see docs/config.md.")]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", help="JSON, see docs/config.md; of several, each makes OUT/NAME."),
]
WeightBits = Annotated[
    Weights | None, typer.Option("--weights", help="int8, or int4 in groups of 128.")
]
Length = Annotated[int, typer.Option(min=8, help="Tokens of a text sample.")]
Seed = Annotated[int, typer.Option(min=0, help="Of what is chosen at random.")]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Your own calibration images, or `synthetic`; COCO by default."
    ),
]
Answers = Annotated[
    str,
    typer.Option(
        metavar="own|draft|none|FILE",
        help="Answered by the model, by a draft of it, by nobody, or by you (JSON lines).",
    ),
]
Texts = Annotated[list[Path] | None, typer.Option(help="Text to calibrate a plain decoder with.")]
OldSeed = Annotated[int | None, typer.Option("--calibration-seed", min=0, hidden=True)]
PackageName = Annotated[
    str,
    typer.Argument(metavar="PACKAGE", help="Directory, or owner/name[@revision] on the Hub."),
]
VerifyKey = Annotated[
    Path | None, typer.Option(metavar="PUBKEY", help="Public key that must have signed it.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="That compute; all processors by default.")
]
MaxLength = Annotated[int | None, typer.Option(help="Size of the KV cache.")]
MaxPixels = Annotated[
    int | None, typer.Option(help="Of an image or frame, where the package takes any size.")
]
Schema = Annotated[Path | None, typer.Option(help="JSON schema that every answer fits.")]
Answering = Annotated[
    Dtype | None,
    typer.Option("--dtype", help="In which the original answers; by its size by default."),
]
OnRay = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Of a Ray cluster whose machines take part."),
]
On = Annotated[Device, typer.Option(help="Where the compiler computes.")]
Scheme = Annotated[InferenceScheme, typer.Option(help="How cores share the work.")]
RunScheme = Annotated[
    InferenceScheme | None,
    typer.Option("--inference-scheme", help="How cores share the work; as compiled by default."),
]
SpecialTokens = Annotated[
    bool,
    typer.Option("--special-tokens-in-text", help="Special tokens in questions are no text."),
]
TargetKl = Annotated[float, typer.Option(min=0, help="Most KL divergence, nats a prediction.")]
TargetTop1 = Annotated[
    float, typer.Option(min=0, max=1, help="Least share of predictions that stay the same.")
]
Events = Annotated[bool, typer.Option("--json", help="Write events in JSON, for programs.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do again what was made before.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
