"""The command line of the soak test."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from soak.images import Images
from soak.kind import Kind, generator
from soak.programs import Programs
from soak.rotations import Rotations
from soak.settings import CheckpointSettings, PackageSettings
from soak.templates import Templates
from soak.videos import Videos, available
from soak.worker import Failure, Tally, attempt, watch
from soak.writers import Writers

EXAMPLES = 3
"""Inputs kept of each cause of failures."""


def kinds() -> list[Kind]:
    """Every kind of input."""
    return [
        PackageSettings(),
        CheckpointSettings(),
        Programs(),
        Templates(),
        Images(),
        *([Videos()] if available() else []),
        Rotations(),
        Writers(),
    ]


def soak(chosen: Sequence[Kind], seed: int, seconds: float, jobs: int) -> list[Tally]:
    """Try inputs of each kind in its share of the time, so many at once."""
    total = sum(kind.share for kind in chosen)
    tallies = []
    for kind in chosen:
        until = time.monotonic() + seconds * kind.share / total
        tallies.append(watch(kind, seed, itertools.count(), until, jobs))
        print(report(kind, tallies[-1]), flush=True)
    return tallies


def report(kind: Kind, tally: Tally) -> str:
    """One line about a kind."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()))
    return f"{kind.name:20} {sum(tally.outcomes.values()):7}  {counts}"


def keep(kind: Kind, failure: Failure, seed: int, out: Path) -> Path:
    """Write down an input that failed."""
    folder = out / f"{kind.name.replace(' ', '-')}-{seed}-{failure.number}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in kind.make(generator(seed, kind.name, failure.number)).items():
        (folder / name).write_bytes(content)
    (folder / "failure.txt").write_text(f"{failure.what}\n{failure.details}\n", encoding="utf-8")
    return folder


def tell(chosen: Sequence[Kind], tallies: Sequence[Tally], seed: int, out: Path) -> int:
    """Print the failures by their cause; how many causes there are."""
    causes = 0
    for kind, tally in zip(chosen, tallies, strict=True):
        found: dict[str, list[Failure]] = {}
        for failure in tally.failures:
            found.setdefault(failure.what, []).append(failure)
        for what, failures in found.items():
            causes += 1
            print(f"\n{kind.name}: {len(failures)} x {what}")
            for failure in failures[:EXAMPLES]:
                folder = keep(kind, failure, seed, out)
                print(f"  --seed {seed} --only '{kind.name}' --case {failure.number}   {folder}")
    return causes


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Damaged inputs of every kind.")
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="inputs at once")
    parser.add_argument("--only", action="append", help="a kind; may be given several times")
    parser.add_argument("--case", type=int, help="try one input in this process")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="for inputs that fail")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    chosen = [kind for kind in kinds() if args.only is None or kind.name in args.only]
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        for number, kind in enumerate(chosen):
            (Path(folder) / str(number)).mkdir()
            kind.prepare(Path(folder) / str(number))
        if args.case is not None:
            found = attempt(chosen[0], args.seed, args.case, Path(folder) / "case")
            print(found.details if isinstance(found, Failure) else found)
            return int(isinstance(found, Failure))
        tallies = soak(chosen, args.seed, 60 * args.minutes, args.jobs)
        causes = tell(chosen, tallies, args.seed, args.out)
    total = sum(sum(tally.outcomes.values()) for tally in tallies)
    print(f"\n{total} inputs, {causes} causes of failure")
    return int(causes > 0)


if __name__ == "__main__":
    sys.exit(main())
