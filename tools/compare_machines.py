"""Compare the native machine with the reference machine on a package, code by code.

    python tools/compare_machines.py PACKAGE [--prompt 40] [--steps 64] [--threads 1 2]

Every buffer that an instruction writes is compared: over a prompt of random tokens and one step
after another, and over an image of noise. Exit status 1 and the instruction's name on the first
difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from vlmforge.dims import names, resolve
from vlmforge.formats.package import Package, open_package
from vlmforge.machine.cache import Cache
from vlmforge.machine.machine import Machine
from vlmforge.machine.native.machine import NativeMachine
from vlmforge.machine.reference.machine import ReferenceMachine

Feeds = dict[str, np.ndarray]

GROUPS = 40
"""Size of every dynamic dimension of an image."""


def text_feeds(package: Package, prompt: int, steps: int) -> Iterator[Feeds]:
    """A prompt of random tokens, then one token at a time."""
    tokens = np.random.default_rng(0).integers(0, len(package.embeddings), prompt + steps)
    edges = [0, prompt, *range(prompt + 1, prompt + steps + 1)]
    for start, stop in pairwise(edges):
        yield {
            "inputs_embeds": package.embeddings[tokens[start:stop]][None],
            "position_ids": np.tile(np.arange(start, stop), (3, 1)),
            "logits_index": np.arange(stop - start)[-1:],
        }


def image_feeds(machine: Machine) -> Iterator[Feeds]:
    """One image of noise, of :data:`GROUPS` groups where it may have any size."""
    rng, feeds = np.random.default_rng(0), {}
    for buffer in (machine.program.buffers[name] for name in machine.program.inputs):
        shape = resolve(buffer.shape, dict.fromkeys(names(buffer.shape), GROUPS))
        noise = (
            rng.standard_normal(shape) if buffer.dtype == "float32" else rng.integers(8, size=shape)
        )
        feeds[buffer.name] = noise.astype(buffer.dtype)
    yield feeds


def traced(machine: Machine, feeds: Feeds, cache: Cache | None) -> Feeds:
    """Every buffer that an instruction writes."""
    seen: Feeds = {}
    machine.run(feeds, cache, seen.__setitem__)
    return seen


def compare(reference: Machine, natives: list[NativeMachine], runs: Iterator[Feeds]) -> int:
    """The number of codes compared; SystemExit where two differ."""
    length = reference.program.meta.get("cache_length")
    caches = [each.new_cache(length) if length else None for each in (reference, *natives)]
    count = 0
    for feeds in runs:
        wanted = traced(reference, feeds, caches[0])
        for native, cache in zip(natives, caches[1:], strict=True):
            found = traced(native, feeds, cache)
            for name, codes in wanted.items():
                if not np.array_equal(found[name], codes, equal_nan=True):
                    sys.exit(f"{name} differs with {native.threads} threads")
                count += codes.size
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--prompt", type=int, default=40)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    package = open_package(args.package)
    for program in filter(None, (package.text, package.vision)):
        reference = ReferenceMachine(program)
        natives = [NativeMachine(program, threads) for threads in args.threads]
        is_text = program.component == "language"
        runs = text_feeds(package, args.prompt, args.steps) if is_text else image_feeds(reference)
        count = compare(reference, natives, runs)
        print(f"{program.component}: {count} codes equal with {args.threads} threads")


if __name__ == "__main__":
    main()
