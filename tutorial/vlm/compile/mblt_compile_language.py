"""Capture the text model as a float graph, checked against the original.

python mblt_compile_language.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import CALIBRATION, arguments, run, workspace

from vlmforge.console import Report
from vlmforge.pipeline import mblt_compile
from vlmforge.source.checkpoint import Checkpoint


def main() -> None:
    parser = arguments("Capture the text model.")
    parser.add_argument("--calib-data", type=Path, default=CALIBRATION)
    args = parser.parse_args()

    def work(report: Report) -> Path:
        path = workspace(args.model_name).mblt("language")
        checkpoint = Checkpoint.open(args.model_name)
        mblt_compile(checkpoint, "language", path, args.calib_data, report)
        return path

    run(work)


if __name__ == "__main__":
    main()
