"""Run engines side by side, in turn, and compare them round by round.

    python benchmarks/speed/compare.py PEERS "vlmforge W8A8=vlmforge:PACKAGE" \\
        "llama.cpp Q8_0=llama.cpp:DIR/Q8_0.gguf" "OpenVINO int8=openvino:DIR/int8" \\
        "OpenVINO int8, groups of 64=openvino:DIR/int8,DYNAMIC_QUANTIZATION_GROUP_SIZE=64" \\
        "PyTorch bf16=pytorch:CHECKPOINT" --threads 2 --rounds 5 --json RESULTS

Every round runs all engines once, each in processes of its own, and begins with another one: A B C,
B C A, and so on, so that a machine that drifts does so under all of them, and none is always behind
the one that heats it up. RESULTS is written after each engine. Where it is there already, its
complete rounds count, so an interrupted comparison goes on, and one that is complete is only
printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from engines import ENGINES, Round, Setup
from PIL import Image
from report import report, summary

State = dict[str, Any]
"""``threads``, ``engines`` (how each is run, by name) and ``rounds`` (figures by engine)."""


def write_image(path: Path) -> Path:
    """An image of noise, 224 × 224."""
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def resume(engines: dict[str, str], threads: int, results: Path) -> State:
    """The complete rounds of an earlier run, or none."""
    state: State = {"threads": threads, "engines": engines, "rounds": []}
    if results.is_file():
        earlier = json.loads(results.read_text(encoding="utf-8"))
        if any(earlier[key] != state[key] for key in ("threads", "engines")):
            sys.exit(f"{results} is of another comparison")
        state["rounds"] = [each for each in earlier["rounds"] if each.keys() == engines.keys()]
    return state


def run(state: State, setup: Setup, rounds: int, results: Path) -> None:
    """Run all engines in turn until there are so many rounds."""
    for number in range(len(state["rounds"]), rounds):
        state["rounds"].append({})
        for name in turned([*state["engines"]], number):
            start = time.monotonic()
            figures = state["rounds"][-1][name] = measure(state["engines"][name], setup)
            taken = f"{time.monotonic() - start:.0f} s"
            print(f"round {number + 1}, {name}, {taken}: {figures}", file=sys.stderr, flush=True)
            text = json.dumps({**state, "summary": summary(state)}, indent=1)
            results.with_suffix(".part").write_text(text, encoding="utf-8")
            results.with_suffix(".part").replace(results)


def turned(names: list[str], number: int) -> list[str]:
    """The names in turn, beginning with another one in every round."""
    first = number % len(names)
    return names[first:] + names[:first]


def measure(engine: str, setup: Setup) -> Round:
    """One round of an engine; without figures where it fails, for the others are to go on."""
    kind, _, path = engine.partition(":")
    try:
        return ENGINES[kind](path, setup)
    except Exception:
        traceback.print_exc()
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare engines side by side.")
    parser.add_argument("peers", type=Path)
    parser.add_argument("engines", nargs="+", metavar="NAME=KIND:PATH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    args = parser.parse_args()
    engines = dict(each.split("=", 1) for each in args.engines)
    unknown = {each.partition(":")[0] for each in engines.values()} - ENGINES.keys()
    if unknown:
        parser.error(f"no engine is named {', '.join(sorted(unknown))}")
    setup = Setup(args.peers, args.threads, write_image(args.json.with_suffix(".png")))
    state = resume(engines, args.threads, args.json)
    run(state, setup, args.rounds, args.json)
    print(report(state))


if __name__ == "__main__":
    main()
