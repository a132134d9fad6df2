"""Quantize the vision encoder, its output rotated by the text model's R1.

python mxq_compile_vision.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from pathlib import Path

from files import CALIBRATION, add_spin_weight_dir, arguments, run, workspace

from vlmforge.config import CompileConfig, InferenceScheme
from vlmforge.console import Report
from vlmforge.pipeline import mxq_compile

CONFIG = CompileConfig.parse(
    {
        "bit": {"layerOverrides": {"activation16Bits": ["model_merger_fc2"]}},
        "equivalentTransformation": {"HeadOutChRotation": {"apply": True}},
    }
)


def main() -> None:
    parser = arguments("Quantize the vision encoder.")
    parser.add_argument("--calib-data", type=Path, default=CALIBRATION)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    add_spin_weight_dir(parser)
    args = parser.parse_args()

    def work(report: Report) -> Path:
        space = workspace(args.model_name, args.spin_weight_dir)
        return mxq_compile(
            space.mblt("vision"),
            space.mxq("vision"),
            args.calib_data,
            args.device,
            InferenceScheme.MULTI,
            CONFIG,
            space.rotation,
            progress=report,
        )

    run(work)


if __name__ == "__main__":
    main()
