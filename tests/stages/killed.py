"""Compiles a tiny decoder over and over, each time killed or out of disk, and once to the end.

    python -m tests.stages.killed DIRECTORY COUNT SEED

Prints a JSON object: how the attempts ended, and whether the files are those of a whole run. All
attempts are children of one process, which has loaded the libraries; it computes with one thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: processes part afterwards

import torch

from tests.conftest import write_decoder
from vlmforge.errors import SystemFailure
from vlmforge.pipeline import compile_model
from vlmforge.stages.calibration import TextCalibration

TEXT = "The square is left of the circle, which is red. " * 40

FULL, FAILED = 7, 8
"""Exit statuses: the disk was full, and said so; anything else."""


def compiled(place: Path, name: str = "out") -> None:
    """Compile, beside the model and its text."""
    text = TextCalibration([place / "text.txt"], 32)
    compile_model(place / "Tiny-LM", place / name, text=text, num_samples=3)


def bits(place: Path, name: str) -> dict[str, str]:
    """SHA-256 of programs, graphs and package, by their names."""
    files = [*(place / name).iterdir(), *(place / f"{name}.work").rglob("*_text_model.*")]
    found = [file for file in files if file.is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def leavings(place: Path) -> list[str]:
    """What should not be there once a run has ended."""
    patterns = ("*.partial-*", "*.kept", "work.lock", "work.json")
    return [str(path) for pattern in patterns for path in place.rglob(pattern)]


def attempt(place: Path, most: int | None) -> None:
    """Compile in this process and leave it; with so many bytes a file at most."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    if most is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    status = FAILED
    try:
        compiled(place)
        status = 0
    except SystemFailure:
        status = FULL
    except BaseException:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        (place / "failure.txt").write_text(traceback.format_exc())
    finally:
        os._exit(status)


def ended(place: Path, chance: random.Random, seconds: float) -> str:
    """Let one attempt be killed, or run out of disk, at random; how it ended."""
    most = int(2 ** chance.uniform(7, 21)) if chance.random() < 0.3 else None
    child = os.fork()
    if child == 0:
        attempt(place, most)
    deadline = time.monotonic() + chance.uniform(0, seconds)
    while most is None and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.001)
    else:
        if most is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {0: "whole", FULL: "full", -signal.SIGKILL: "killed"}.get(code, f"failed {code}")


def main(place: Path, count: int, seed: int) -> None:
    """Kill ``count`` attempts; whenever one got through, everything begins anew."""
    torch.set_num_threads(1)
    (place / "Tiny-LM").mkdir(parents=True)
    write_decoder(place / "Tiny-LM")
    (place / "text.txt").write_text(TEXT, encoding="utf-8")
    compiled(place, "whole")
    start = time.monotonic()
    compiled(place, "again")
    seconds, wanted = time.monotonic() - start, bits(place, "whole")
    chance, ends, same, left = random.Random(seed), Counter[str](), True, list[str]()
    for number in range(count):
        ends[ended(place, chance, seconds)] += 1
        if chance.random() < 0.2 or number == count - 1:
            compiled(place)
            same, left = same and bits(place, "out") == wanted, left + leavings(place)
            for made in ("out", "out.work"):
                shutil.rmtree(place / made)
    failure = place / "failure.txt"
    told = failure.read_text() if failure.exists() else ""
    print(json.dumps({"ends": ends, "same": same, "left": left, "failure": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
