"""Record what the text model receives while the original model answers about the images.

python generate_language_calibration_data.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

import argparse
from pathlib import Path

from console import run, samples_root

from vlmforge import Checkpoint, Layout, record_language


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the text model's calibration samples.")
    parser.add_argument("--model-name", default="Qwen/Qwen2-VL-2B-Instruct", help="id or directory")
    parser.add_argument("--output-dir", type=Path, default=Path("calibration_data/language"))
    parser.add_argument("--image-dir", type=Path, default=Path("images"))
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=[224, 224], metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--num-samples", type=int, help="default: one an image")
    parser.add_argument("--max-new-tokens", type=int, default=500, help="of each answer")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    run(
        lambda tell: record_language(
            Checkpoint.open(args.model_name),
            args.image_dir,
            samples_root(args.output_dir, "language"),
            args.num_samples,
            args.max_new_tokens,
            args.device,
            args.dtype,
            Layout(tuple(args.image_size)),
            tell,
        )
    )


if __name__ == "__main__":
    main()
