"""Time of one image in a package of a fixed layout beside one of the dynamic layout.

    python benchmarks/speed/layouts.py FIXED DYNAMIC --threads 2

Both are packages of one model. A round encodes noise of the fixed package's size once with each, in
turn the other one first. The ratio is that of the two within a round; figures are medians, least
and most over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from vlmforge import Session
from vlmforge.cli.threads import use_threads


class Encoder:
    """The vision encoder of a package, and what it reads of one image."""

    def __init__(self, package: Path, image: Image.Image) -> None:
        session = Session.open(package)
        message = {"role": "user", "content": [{"type": "image", "image": image}]}
        _, (self.visual,) = session.prepare([message])
        assert session.vision is not None
        self.vision = session.vision
        self.seconds()

    def seconds(self) -> float:
        """Seconds of one run, the inputs' making included."""
        start = time.perf_counter()
        self.vision.machine.run(self.vision.feeds(self.visual))
        return time.perf_counter() - start


def noise(side: int) -> Image.Image:
    """A square image of that side."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def measure(encoders: Mapping[str, Encoder], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by package, and the ratios of the second to the first."""
    names = list(encoders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            found[name].append(encoders[name].seconds())
    first, second = (found[name] for name in names)
    return found | {"ratio": [b / a for a, b in zip(first, second, strict=True)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fixed", type=Path)
    parser.add_argument("dynamic", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    use_threads(args.threads)
    image = noise(args.side)
    packages = {"fixed": args.fixed, "dynamic": args.dynamic}
    encoders = {name: Encoder(path, image) for name, path in packages.items()}
    found = measure(encoders, args.rounds)
    if args.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        middle, unit = statistics.median(values), "" if name == "ratio" else " s"
        print(f"{name:8} {middle:.3f}{unit} ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    main()
