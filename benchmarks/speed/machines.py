"""Run a package on the native machine and on the reference machine, in turn.

    python benchmarks/speed/machines.py PACKAGE --rounds 5

Both decode the same tokens, read the same prompts and, if the package has a vision encoder, encode
the same images; a ratio is that of the two within a round. With ``--json`` the rounds, in seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

from vlmforge.bench import measure
from vlmforge.bench.measure import Measurement
from vlmforge.bench.workload import Workload
from vlmforge.decode.vision import VisionEncoder
from vlmforge.machine.machine import open_machine
from vlmforge.run.session import Session

MACHINES = ("native", "reference")
DECODED, PROMPTS = 64, (82, 512)

SETTLED = 0.2
"""Seconds after which no thread of the other machine's library spins any more."""

Rounds = dict[str, list[dict[str, float]]]
"""Kind of work to the seconds of every round, by machine."""


def session_on(machine: str, session: Session, threads: int | None) -> Session:
    """The same package on another machine."""
    text = open_machine(session.text.program, machine, threads, verified=True)
    if session.vision is None:
        return replace(session, text=text)
    vision = open_machine(session.vision.machine.program, machine, threads, verified=True)
    return replace(session, text=text, vision=VisionEncoder(vision))


def kinds_of_work(
    session: Session,
) -> dict[str, tuple[int, Callable[[Workload], Measurement | None]]]:
    """Units of work, tokens or images, and what measures it, by its name."""
    kinds: dict[str, tuple[int, Callable[[Workload], Measurement | None]]] = {
        "decode": (DECODED, partial(measure.decode, tokens=DECODED, rounds=1))
    }
    for tokens in PROMPTS:
        work = partial(measure.prefill, tokens=tokens, rounds=1)
        kinds[f"prefill of {tokens}"] = tokens, work
    if session.vision is not None:
        kinds["image"] = 1, partial(measure.vision, rounds=1)
    return kinds


def run(session: Session, threads: int | None, rounds: int) -> Rounds:
    """The seconds of every round."""
    found: Rounds = {}
    sessions = {name: session_on(name, session, threads) for name in MACHINES}
    for _ in range(rounds):
        workloads = {name: Workload(each) for name, each in sessions.items()}
        for kind, (_, work) in kinds_of_work(session).items():
            seconds = {name: seconds_of(work, workload) for name, workload in workloads.items()}
            found.setdefault(kind, []).append(seconds)
    return found


def seconds_of(work: Callable[[Workload], Measurement | None], workload: Workload) -> float:
    """The seconds of one round."""
    time.sleep(SETTLED)
    measured = work(workload)
    assert measured is not None
    return measured.timing.median


def show(session: Session, found: Rounds) -> None:
    """A line for each kind of work: units a second, and the ratio."""
    for kind, (units, _) in kinds_of_work(session).items():
        speeds = {n: units / median(each[n] for each in found[kind]) for n in MACHINES}
        ratios = [each["reference"] / each["native"] for each in found[kind]]
        text = ", ".join(f"{name} {speed:,.0f}/s" for name, speed in speeds.items())
        spread = f"{median(ratios):.1f} times ({min(ratios):.1f}–{max(ratios):.1f})"
        print(f"{kind}: {text}, {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Native machine beside reference machine.")
    parser.add_argument("package")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    session = Session.open(options.package)
    found = run(session, options.threads, options.rounds)
    print(json.dumps(found)) if options.json else show(session, found)


if __name__ == "__main__":
    main()
