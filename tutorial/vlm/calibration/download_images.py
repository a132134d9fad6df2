"""Collect calibration images: 100 of COCO 2017 validation, at 224 × 224.

    python download_images.py

Without a network, synthetic scenes are drawn in their place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from console import run

from vlmforge import collect_images


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect calibration images at 224 × 224.")
    parser.add_argument("--output-dir", type=Path, default=Path("images"))
    parser.add_argument("--num-images", type=int, default=100)
    parser.add_argument("--source-dir", type=Path, help="your own images in place of COCO")
    parser.add_argument("--seed", type=int, default=0, help="draws scenes, chooses among images")
    args = parser.parse_args()
    run(
        lambda tell: collect_images(
            args.output_dir, args.num_images, args.source_dir, args.seed, tell, fallback=True
        )
    )


if __name__ == "__main__":
    main()
