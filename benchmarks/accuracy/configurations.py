"""Measure configurations of a plain decoder on held-out text, with several calibration seeds.

    python benchmarks/accuracy/configurations.py MODEL TEXTS WORK [NAME=CONFIG.json ...]

TEXTS is a directory ``texts.py`` made, WORK keeps the stages' files; what is there already is not
made again. Without configurations the default is measured. Writes ``WORK/results.json`` and prints
one line for each configuration and seed, and the mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.calibrate.text import record_text
from vlmforge.config import CompileConfig
from vlmforge.evaluation.text import ProgramModel, evaluate_text
from vlmforge.evaluation.windows import Window, Windowing, read_texts
from vlmforge.formats.mxq import read_mxq
from vlmforge.machine.machine import open_machine
from vlmforge.original.text import TextReference
from vlmforge.package.embeddings import rotated_rows
from vlmforge.program.core import Program
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.source.processor import load_tokenizer
from vlmforge.stages.mblt import mblt_compile
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.rotation import read_r1

SHOWN = ("kl", "kl_standard_error", "top1_agreement", "perplexity", "reference_perplexity")


class Study:
    """The stages of one model; ``work`` holds a directory for each calibration seed."""

    def __init__(
        self, model: str, texts: Path, work: Path, calibration: str, samples: int, length: int
    ) -> None:
        self.checkpoint = Checkpoint.open(model)
        self.texts, self.work, self.calibration = texts, work, texts / calibration
        self.samples, self.length = samples, length

    def program(self, config: CompileConfig, name: str, seed: int) -> tuple[Program, np.ndarray]:
        """The compiled program and the embeddings it takes, float32 ``[vocab, hidden]``."""
        root = self.work / f"seed{seed}"
        data, mblt = root / "calibration_data", self.work / "text_model.mblt"
        if not data.is_dir():
            files = sorted(self.calibration.glob("*.txt"))
            record_text(self.checkpoint, files, data, self.samples, self.length, seed)
        if not mblt.is_file():
            mblt_compile(self.checkpoint, "language", mblt, data)
        mxq, rotation = root / f"{name}.mxq", root / f"{name}.pth"
        if not mxq.is_file():
            start = time.perf_counter()
            mxq_compile(mblt, mxq, data, compile_config=config, rotation_path=rotation)
            print(
                f"{name}, seed {seed}: compiled in {time.perf_counter() - start:.0f} s", flush=True
            )
        rotated = config.equivalent_transformation.spin_r1.apply
        r1 = read_r1(self.checkpoint, rotation) if rotated else None
        embedding = self.checkpoint.weight(EMBEDDING)
        return read_mxq(mxq, verify=False), np.concatenate([*rotated_rows(embedding, r1)])

    def windows(self, context: int, stride: int | None, max_tokens: int) -> list[Window]:
        """The windows of the held-out text."""
        tokenizer = load_tokenizer(self.checkpoint.path).backend_tokenizer
        tokens = read_texts(tokenizer, [self.texts / "evaluation.txt"])
        return Windowing(context, stride, max_tokens=max_tokens).cut(tokens)


def wide_share(program: Program) -> float:
    """The share of the program's products that read int16."""
    products = [step for step in program.instructions if step.op == "linear"]
    return sum(program.buffers[s.inputs[0]].dtype == "int16" for s in products) / len(products)


def summary(runs: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the seeds."""
    parts = []
    for key in ("kl", "top1_agreement", "perplexity"):
        found = [run[key] for run in runs]
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        parts.append(f"{key} {statistics.mean(found):.5f} ± {spread:.5f}")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure configurations on held-out text.")
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("configurations", nargs="*", default=["default="], metavar="NAME=CONFIG")
    parser.add_argument("--seed", type=int, action="append", help="of the calibration; repeatable")
    parser.add_argument("--calibration", default="calibration", help="or wide, of TEXTS")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--stride", type=int)
    parser.add_argument("--max-tokens", type=int, default=8192)
    options = parser.parse_args()
    sized = options.calibration, options.samples, options.length
    study = Study(options.model, options.texts, options.work, *sized)
    windows = study.windows(options.context, options.stride, options.max_tokens)
    reference = TextReference.load(study.checkpoint)
    results: dict[str, list[dict[str, Any]]] = {}
    for entry in options.configurations:
        name, _, path = entry.partition("=")
        config = CompileConfig.load(path) if path else CompileConfig()
        for seed in options.seed or [0]:
            program, embeddings = study.program(config, name, seed)
            model = ProgramModel(open_machine(program), embeddings)
            found = evaluate_text({name: model}, windows, reference)[name]
            run = {"seed": seed, "int16_share": wide_share(program), **found}
            results.setdefault(name, []).append(run)
            print(f"{name}, seed {seed}:", {key: round(run[key], 5) for key in SHOWN}, flush=True)
            (options.work / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        print(f"{name}: {summary(results[name])}", flush=True)


if __name__ == "__main__":
    main()
