"""Record what the vision encoder receives for the images, at 224 × 224.

python generate_vision_calibration_data.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

import argparse
from pathlib import Path

from console import run, samples_root

from vlmforge import Checkpoint, record_vision


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the vision encoder's calibration samples.")
    parser.add_argument("--model-name", default="Qwen/Qwen2-VL-2B-Instruct", help="id or directory")
    parser.add_argument("--output-dir", type=Path, default=Path("calibration_data/vision"))
    parser.add_argument("--image-dir", type=Path, default=Path("images"))
    parser.add_argument("--num-samples", type=int, help="default: one an image")
    args = parser.parse_args()
    run(
        lambda tell: record_vision(
            Checkpoint.open(args.model_name),
            args.image_dir,
            samples_root(args.output_dir, "vision"),
            args.num_samples,
            progress=tell,
        )
    )


if __name__ == "__main__":
    main()
