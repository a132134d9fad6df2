"""Compiles a model over and over, each time killed or out of disk, and now and then to the end.

    python -m tests.stages.killed DIRECTORY COUNT SEED [MODEL]

MODEL is the directory of a small checkpoint; without one, a tiny one is made.

Prints a JSON object: how the attempts ended, whether the files are those of a whole run, and how
often a batch of questions was answered, or a weight rounded, without an interruption that explains
it. All attempts are children of one process, which has loaded the libraries; it computes with one
thread. A small disk, such as a tmpfs, is filled once the work begins; on others files may not grow.
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
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: processes part afterwards

import torch

from tests.conftest import write_checkpoint
from vlmforge.calibrate import record
from vlmforge.calibrate.answers import OwnAnswers
from vlmforge.errors import SystemFailure
from vlmforge.images.layout import FIXED
from vlmforge.pipeline import compile_model
from vlmforge.quantize.weights import rounding

SMALL = 1 << 28
"""Bytes of a disk that is filled."""

BALLAST, MODEL = "ballast", "model"

FULL, FAILED = 7, 8
"""Exit statuses: the disk was full, and said so; anything else."""

ANSWERED, ROUNDED = "a batch answered", "a weight rounded"


class Pipe:
    """What children tell, whatever becomes of them and of the disk."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)

    def tell(self, line: str) -> None:
        os.write(self._write, f"{line}\n".encode())

    def told(self) -> str:
        """All that was told since the last time."""
        found = b""
        with suppress(BlockingIOError):
            while piece := os.read(self._read, 1 << 16):
                found += piece
        return found.decode()


def telling(pipe: Pipe, line: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, which tells that it begins."""

    def told(*arguments: Any) -> Any:
        pipe.tell(line)
        return work(*arguments)

    return told


def compiled(place: Path, name: str = "out", announce: Callable[[str], None] | None = None) -> None:
    """Compile, beside the model; questions are answered in four batches."""
    compile_model(
        place / MODEL, place / name, images="synthetic", num_samples=8, max_new_tokens=16,
        layout=FIXED, announce=announce,
    )  # fmt: skip


def bits(place: Path, name: str) -> dict[str, str]:
    """SHA-256 of programs, graphs and package, by their names."""
    files = [*(place / name).iterdir(), *(place / f"{name}.work").glob("m*/*")]
    found = [file for file in files if file.is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def leavings(place: Path) -> list[str]:
    """What should not be there once a run has ended."""
    patterns = ("*.partial-*", "*.kept", "work.lock", "work.json")
    return [str(path) for pattern in patterns for path in place.rglob(pattern)]


def attempt(place: Path, pipe: Pipe, most: int | None) -> None:
    """Compile in this process and leave it, on a disk with so many bytes left, if not None."""
    torch.set_num_threads(1)  # a pool of threads does not survive parting; one alone mends it
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    status = FAILED
    try:
        compiled(place, announce=None if most is None else partial(limit, place, most))
        status = 0
    except SystemFailure:
        status = FULL
    except BaseException:
        pipe.tell(traceback.format_exc())
    finally:
        os._exit(status)


def is_small(place: Path) -> bool:
    """Whether the disk of a directory is filled."""
    facts = os.statvfs(place)
    return facts.f_blocks * facts.f_frsize <= SMALL


def limit(place: Path, most: int, _: str) -> None:
    """Leave so many bytes on a small disk, or let no file grow beyond."""
    if not is_small(place):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    elif not (place / BALLAST).exists():
        facts = os.statvfs(place)
        with (place / BALLAST).open("wb") as file:
            free = facts.f_bavail * facts.f_frsize
            os.posix_fallocate(file.fileno(), 0, max(1, free - most))


def killed(child: int, seconds: float) -> int:
    """Kill a child after so many seconds, unless it has ended; its status."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def ended(place: Path, pipe: Pipe, chance: random.Random, seconds: float) -> str:
    """Let one attempt be killed, or run out of disk, at random; how it ended."""
    if chance.random() < 0.3:
        most = int(2 ** chance.uniform(7, 24 if is_small(place) else 21))
        status = os.waitpid(started(place, pipe, most), 0)[1]
        (place / BALLAST).unlink(missing_ok=True)
    else:
        status = killed(started(place, pipe, None), chance.uniform(0, seconds))
    code = os.waitstatus_to_exitcode(status)
    return {0: "whole", FULL: "full", -signal.SIGKILL: "killed"}.get(code, f"failed {code}")


def started(place: Path, pipe: Pipe, most: int | None) -> int:
    """The number of a child that compiles."""
    child = os.fork()
    if child == 0:
        attempt(place, pipe, most)
    return child


def main(place: Path, count: int, seed: int, model: Path | None = None) -> None:
    """Kill ``count`` attempts; whenever one got through, everything begins anew."""
    torch.set_num_threads(1)
    pipe, record.BATCH = Pipe(), 2
    OwnAnswers.__call__ = telling(pipe, ANSWERED, OwnAnswers.__call__)  # type: ignore[method-assign]
    rounding.compensate = telling(pipe, ROUNDED, rounding.compensate)
    place.mkdir(parents=True)
    if model is None:
        (place / MODEL).mkdir()
        write_checkpoint(place / MODEL)
    else:
        shutil.copytree(model, place / MODEL)
    compiled(place, "whole")
    pieces, start = Counter(pipe.told().splitlines()), time.monotonic()
    compiled(place, "again")
    seconds, wanted = time.monotonic() - start, bits(place, "whole")
    shutil.rmtree(place / "again.work")
    pipe.told()
    chance, ends, same, left = random.Random(seed), Counter[str](), True, list[str]()
    done, interrupted, repeated, failures = Counter[str](), 0, 0, ""
    for number in range(count):
        end = ended(place, pipe, chance, seconds)
        ends[end], interrupted = ends[end] + 1, interrupted + (end != "whole")
        told = pipe.told()
        done.update(told.splitlines())
        failures += told if end.startswith("failed") else ""
        if chance.random() < 0.2 or number == count - 1:
            compiled(place)
            done.update(pipe.told().splitlines())
            same, left = same and bits(place, "out") == wanted, left + leavings(place)
            repeated += max(0, sum(done[each] - pieces[each] for each in pieces) - interrupted)
            done, interrupted = Counter[str](), 0
            for made in ("out", "out.work"):
                shutil.rmtree(place / made)
    found = {"ends": ends, "same": same, "left": left, "repeated": repeated, "failures": failures}
    print(json.dumps({**found, "pieces": pieces}))


if __name__ == "__main__":
    where, attempts, chances, *models = sys.argv[1:]
    main(Path(where), int(attempts), int(chances), *map(Path, models))
