"""Run engines side by side, in turn, and compare them round by round.

    python benchmarks/speed/compare.py PEERS "vlmforge W8A8=vlmforge:PACKAGE" \\
        "llama.cpp Q8_0=llama.cpp:DIR/Q8_0.gguf" "OpenVINO int8=openvino:DIR/int8" \\
        "OpenVINO int8 tuned=openvino:DIR/int8,DYNAMIC_QUANTIZATION_GROUP_SIZE=64" \\
        "PyTorch bf16=pytorch:CHECKPOINT" --threads 2 --rounds 5 --json RESULTS

Every round runs all engines once, each in processes of its own: A B C, A B C, and so on, so that a
machine that drifts does so under all of them. Ratios are those of the first engine to the others
within a round, above 1 where the first is faster.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import numpy as np
from engines import ENGINES, Round, Setup
from PIL import Image

UNITS = {
    "decode": ("decode, tokens/s", 1),
    "decode_4": ("decode of 4 sessions, tokens/s", 1),
    "prefill": ("prefill of 512, tokens/s", 1),
    "vision": ("one image, ms", 1e3),
    "first_token": ("image question to first token, ms", 1e3),
    "load": ("load, s", 1),
    "resident": ("peak resident, MB", 1e-6),
}

LESS_IS_BETTER = {"vision", "first_token", "load", "resident"}

Rounds = dict[str, list[Round]]


def write_image(path: Path) -> Path:
    """An image of noise, 224 × 224."""
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def run(engines: dict[str, str], setup: Setup, rounds: int, results: Path) -> Rounds:
    """Run all engines in turn; results are written after every round."""
    found: Rounds = {name: [] for name in engines}
    for number in range(rounds):
        for name, engine in engines.items():
            kind, _, path = engine.partition(":")
            found[name].append(ENGINES[kind](path, setup))
            print(f"round {number + 1}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
        results.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def table(found: Rounds, metric: str) -> list[str]:
    """The rows of one metric in Markdown."""
    title, factor = UNITS[metric]
    first = next(iter(found.values()))
    rows = [f"| {title} | median | least … most | {next(iter(found))} is faster by |"]
    rows.append("| --- | --- | --- | --- |")
    for name, rounds in found.items():
        values = [each[metric] * factor for each in rounds if metric in each]
        if values:
            spread = f"{min(values):.4g} … {max(values):.4g}"
            rows.append(
                f"| {name} | {median(values):.4g} | {spread} | {_ratio(first, rounds, metric)} |"
            )
    return rows


def _ratio(first: list[Round], other: list[Round], metric: str) -> str:
    """The median and the spread of the ratios within rounds."""
    pairs = [
        (a[metric], b[metric])
        for a, b in zip(first, other, strict=False)
        if metric in a and metric in b
    ]
    if first is other or not pairs:
        return ""
    ratios = [b / a if metric in LESS_IS_BETTER else a / b for a, b in pairs]
    return f"{median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"


def limits(found: Rounds) -> list[str]:
    """What the engines that measure the machine reached of it."""
    rows = []
    for name, rounds in found.items():
        if all("read_bandwidth" in each for each in rounds):
            bandwidth = [
                each["decode"] * each["weight_bytes"] / each["read_bandwidth"] for each in rounds
            ]
            peak = [
                each["prefill"] / 512 * each["operations"] / each["int8_peak"] for each in rounds
            ]
            rows.append(f"{name}: decode reads at {median(bandwidth):.0%} of the read bandwidth,")
            rows.append(f"prefill of 512 multiplies at {median(peak):.0%} of the int8 peak.")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare engines side by side.")
    parser.add_argument("peers", type=Path)
    parser.add_argument("engines", nargs="+", metavar="NAME=KIND:PATH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    args = parser.parse_args()
    engines = dict(each.split("=", 1) for each in args.engines)
    setup = Setup(args.peers, args.threads, write_image(args.json.with_suffix(".png")))
    found = run(engines, setup, args.rounds, args.json)
    print("\n\n".join("\n".join(table(found, metric)) for metric in UNITS))
    print("\n" + "\n".join(limits(found)))


if __name__ == "__main__":
    main()
