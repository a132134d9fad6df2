"""Compare the accuracy of packages with llama.cpp's quantized files, token for token.

    python benchmarks/accuracy/llamacpp.py PEERS GGUF TEXT --reference MODEL --package DIR ...

PEERS is made by ``benchmarks/peers/llama_cpp.sh``, GGUF by ``benchmarks/peers/gguf.sh`` from the
same checkpoint with the base f32. Both sides are judged by KL divergence to their own float32
run of the checkpoint, on the same tokens: llama.cpp cuts the text into windows of 512, drops the
rest, and scores only the second half of each window, so ``vlmforge eval`` is told to do the same.
Bits a weight are those of all products, scales of groups included, the embedding table left out.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CONTEXT = 512

FIGURES = {
    "perplexity": r"Mean PPL\(Q\) +: +([\d.]+)",
    "reference_perplexity": r"Mean PPL\(base\) +: +([\d.]+)",
    "kl": r"Mean +KLD: +([\d.]+)",
    "kl_standard_error": r"Mean +KLD: +[\d.]+ ± +([\d.]+)",
    "kl_99": r"99\.0% +KLD: +([\d.]+)",
    "top1_agreement": r"Same top p: +([\d.]+)",
}

WEIGHTS_OF_GGUF = """
import sys, gguf
read = [t for t in gguf.GGUFReader(sys.argv[1]).tensors if len(t.shape) == 2]
products = [t for t in read if t.name != "token_embd.weight"]
print(8 * sum(t.n_bytes for t in products) / sum(int(t.n_elements) for t in products))
"""


def output_of(*command: object) -> str:
    """Both outputs of a command."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}")
    return done.stdout


class LlamaCpp:
    """llama.cpp's judgement of GGUF files."""

    def __init__(self, peers: Path, folder: Path, text: Path, threads: int) -> None:
        self._python, self._folder = peers / "convert" / "bin" / "python", folder
        self._base = folder / "base.kld"
        self._command = [peers / "bin" / "llama-perplexity", "-f", text, "-c", CONTEXT]
        self._command += ["-t", threads, "--kl-divergence-base", self._base]

    def prepare(self) -> int:
        """Write the base's logits; the number of windows."""
        found = output_of(*self._command, "-m", self._folder / "f32.gguf")
        windows = re.search(r"over (\d+) chunks", found)
        assert windows is not None, found[-2000:]
        return int(windows[1])

    def judge(self, file: Path) -> dict[str, float]:
        found = output_of(*self._command, "-m", file, "--kl-divergence")
        figures = {}
        for name, pattern in FIGURES.items():
            match = re.search(pattern, found)
            if match is None:
                sys.exit(f"llama-perplexity gives no {name}:\n{found[-2000:]}")
            figures[name] = float(match[1])
        figures["top1_agreement"] /= 100
        return {"bits": float(output_of(self._python, "-c", WEIGHTS_OF_GGUF, file)), **figures}

    def clean(self) -> None:
        self._base.unlink(missing_ok=True)


def judge_package(package: Path, text: Path, reference: str, windows: int) -> dict[str, float]:
    """The same figures of a package."""
    options = ["--context", CONTEXT, "--min-context", CONTEXT // 2 + 1]
    options += ["--max-tokens", windows * CONTEXT, "--reference", reference, "--json"]
    command = ["vlmforge", "eval", package, "--text", text, *options]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    return {"bits": bits_of(package), **json.loads(done.stdout)}


def bits_of(package: Path) -> float:
    """Bits a weight of a package's text products."""
    from vlmforge.bench.work import PRODUCTS, work_of
    from vlmforge.formats.package import open_package

    program = open_package(package, verify=False).text
    products = [each for each in program.instructions if each.op in PRODUCTS]
    weights = sum(each.attrs["in_features"] * each.attrs["out_features"] for each in products)
    return 8 * work_of(program, {"seq": 1, "logits": 1}).weight_bytes / weights


def shown(name: str, figures: dict[str, Any]) -> str:
    """A row of the table in Markdown."""
    change = figures["perplexity"] / figures["reference_perplexity"] - 1
    cells = (
        name,
        f"{figures['bits']:.2f}",
        f"{figures['kl']:.5f} ± {figures['kl_standard_error']:.5f}",
        f"{figures['top1_agreement']:.2%}",
        f"{figures['perplexity']:.4f}",
        f"{change:+.2%}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare with llama.cpp.")
    parser.add_argument("peers", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--package", type=Path, action="append", default=[])
    parser.add_argument("--type", action="append")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    llama = LlamaCpp(args.peers, args.gguf, args.text, args.threads)
    windows = llama.prepare()
    print(f"{windows} windows of {CONTEXT} tokens, {windows * (CONTEXT // 2 - 1)} predictions\n")
    print("| | bits a weight | KL to float32 | top-1 | perplexity | to float32 |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for kind in args.type or ["Q8_0", "Q4_K_M", "Q4_0"]:
        print(shown(f"llama.cpp {kind}", llama.judge(args.gguf / f"{kind}.gguf")), flush=True)
    llama.clean()
    for package in args.package:
        figures = judge_package(package, args.text, args.reference, windows)
        print(shown(f"vlmforge {package.name}", figures), flush=True)


if __name__ == "__main__":
    main()
