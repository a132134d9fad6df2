"""What the compile scripts share: paths as in the tutorial, and errors without a traceback."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from vlmforge import (
    Checkpoint,
    CompileConfig,
    InferenceScheme,
    Workspace,
    console,
    mblt_compile,
    mxq_compile,
    private_directory,
)
from vlmforge.console import Report

MODEL = "Qwen/Qwen2-VL-2B-Instruct"
CALIBRATION = Path("../calibration/calibration_data")
SPIN_WEIGHT_DIR = Path("/tmp/qbcompiler/spinWeight")

SCRIPTS = {
    **{
        f"vlmforge {command} {part}{model}": f"python {script}_{part}.py"
        for part in ("language", "vision")
        for command, model, script in (
            ("mblt", " MODEL", "mblt_compile"),
            ("mxq", "", "mxq_compile"),
        )
    },
    "vlmforge calibrate": "python ../calibration/generate_language_calibration_data.py",
    "vlmforge images": "python ../calibration/download_images.py",
    "vlmforge package": "python get_config.py and python get_safetensors.py",
}
"""What stands for the commands that messages name."""


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser that knows which model is compiled."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model-name", default=MODEL, help="id or directory")
    return parser


def add_spin_weight_dir(parser: argparse.ArgumentParser) -> None:
    """Let the user choose where rotations are kept."""
    parser.add_argument("--spin-weight-dir", type=Path, default=SPIN_WEIGHT_DIR)


def workspace(model_name: str, spin_weight_dir: Path | None = None) -> Workspace:
    """``./mblt`` and ``./mxq``; rotations in a directory only this user can read and write."""
    name = Path(model_name).name
    return Workspace(Path(), name, spin_weight_dir and private_directory(spin_weight_dir))


def run(work: Callable[[Report], object]) -> None:
    """Do the work under a progress bar; an expected failure exits with status 2."""
    with console.expected_failures(SCRIPTS), console.progress() as report:
        made = work(report)
    console.print_text(str(made))


def capture(component: str, description: str) -> None:
    """The command that writes a component's ``.mblt``."""
    parser = arguments(description)
    parser.add_argument("--calib-data", type=Path, default=CALIBRATION)
    args = parser.parse_args()

    def work(report: Report) -> Path:
        path = workspace(args.model_name).mblt(component)
        mblt_compile(Checkpoint.open(args.model_name), component, path, args.calib_data, report)
        return path

    run(work)


def quantize(
    component: str, description: str, config: CompileConfig, scheme: InferenceScheme
) -> None:
    """The command that writes a component's ``.mxq``."""
    parser = arguments(description)
    parser.add_argument("--calib-data", type=Path, default=CALIBRATION)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    add_spin_weight_dir(parser)
    args = parser.parse_args()

    def work(report: Report) -> Path:
        space = workspace(args.model_name, args.spin_weight_dir)
        return mxq_compile(
            space.mblt(component),
            space.mxq(component),
            args.calib_data,
            args.device,
            scheme,
            config,
            space.rotation,
            progress=report,
        )

    run(work)
