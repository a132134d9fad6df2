"""How fast the original model answers calibration questions: in batches, and one at a time.

    python benchmarks/answering.py MODEL [--tokens 24] [--rounds 3] [--threads 2]

Prints tokens a second of both, the median of several rounds, and their ratio. One at a time is in
bfloat16, as calibration answered before it asked in batches; a batch is in the dtype that
calibration chooses on this computer.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from vlmforge.calibrate.prompts import prompt_for
from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.arithmetic import Arithmetic


def speed(model: ReferenceModel, count: int, tokens: int) -> float:
    """Tokens a second of ``count`` answers at once, each of exactly ``tokens`` tokens."""
    questions = [
        model.inputs(prompt_for(index).text, [draw_scene(index).image]) for index in range(count)
    ]
    start = time.perf_counter()
    answers = model.answers([model.embed(question) for question in questions], tokens)
    seconds = time.perf_counter() - start
    assert all(len(answer) == tokens for answer in answers)
    return count * tokens / seconds


def rounds(name: str, model: ReferenceModel, count: int, tokens: int, repeats: int) -> float:
    """The median speed of several rounds, printed with the least and the most."""
    model.model.generation_config.eos_token_id = None
    speeds = [speed(model, count, tokens) for _ in range(repeats)]
    median = statistics.median(speeds)
    print(f"{name}: {median:.2f} ({min(speeds):.2f} to {max(speeds):.2f}) tokens/s", flush=True)
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of calibration's answers.")
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    checkpoint = Checkpoint.open(args.model)
    dtype = Arithmetic.of(checkpoint).dtype
    alone = rounds(
        "one at a time, bfloat16",
        ReferenceModel.load(checkpoint, dtype=torch.bfloat16), 1, args.tokens, args.rounds,
    )  # fmt: skip
    batch = rounds(
        f"{BATCH} at once, {dtype}",
        ReferenceModel.load(checkpoint, dtype=DTYPES[dtype]), BATCH, args.tokens, args.rounds,
    )  # fmt: skip
    print(f"ratio: {batch / alone:.1f}")


if __name__ == "__main__":
    main()
