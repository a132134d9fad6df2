"""Time and memory of a vision encoder on images of several sizes, with random weights.

    python benchmarks/speed/encoder.py --patches 256,1024,4096 --layers 4 --threads 1

The program is an encoder of Qwen2-VL's kind: LayerNorms, rotary embedding, attention among all
patches, quick GELU, and a merger of 2x2 patches. With ``--window 64`` patches attend to those of
their window, as in most layers of Qwen2.5-VL. One program runs all sizes. A round runs each size
once, small ones as often as the largest has their patches, so that each takes as long and meets the
same neighbours on a busy machine. Figures are medians over the rounds; seconds are processor time,
so they say most with one thread. Memory is what the first run of a machine takes at its height,
which Linux alone tells.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.machine.native.machine import NativeMachine
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.layout import pack
from vlmforge.program.verify import verify

PIXELS, HIDDEN, HEADS, MLP, OUT = 1176, 1280, 16, 5120, 1536
HEAD_DIM = HIDDEN // HEADS
POSITIONS = 512
ROWS = "4*groups"


class Builder:
    """Collects instructions on rows of a number of channels."""

    def __init__(self, windowed: bool) -> None:
        self.sees = ("visible",) if windowed else ()
        self.rng = np.random.default_rng(0)
        self.buffers = {
            "patches": Buffer("patches", (ROWS, PIXELS), "float32"),
            "position_ids": Buffer("position_ids", (3, ROWS), "int64"),
            **{name: Buffer(name, (ROWS, 2), "int64") for name in self.sees},
        }
        self.instructions: list[Instruction] = []
        self.tensors: dict[str, np.ndarray] = {}

    def add(
        self,
        op: str,
        inputs: tuple[str, ...],
        channels: int,
        dtype: str,
        tensors: Mapping[str, np.ndarray] | None = None,
        **attrs: Any,
    ) -> str:
        name = f"{op}_{len(self.instructions)}"
        roles = {role: f"{name}.{role}" for role in tensors or {}}
        self.tensors |= {f"{name}.{role}": array for role, array in (tensors or {}).items()}
        self.instructions.append(Instruction(name, op, inputs, roles, attrs))
        rows = "groups" if op == "reshape" else self.rows(inputs[0])
        self.buffers[name] = Buffer(name, (rows, channels), dtype)
        return name

    def rows(self, name: str) -> int | str:
        return self.buffers[name].shape[0]

    def linear(self, x: str, n: int, dtype: str) -> str:
        k = self.buffers[x].shape[1]
        assert isinstance(k, int)
        spread = {"int8": 30.0, "int16": 3000.0, "float32": 1.0}[dtype]
        tensors = {
            "weight": pack(self.rng.integers(-127, 128, (n, k)).astype(np.int8)),
            "multiplier": np.full(n, spread / (30 * 73 * k**0.5), np.float32),
            "bias": self.rng.integers(-1000, 1000, n).astype(np.int32),
        }
        return self.add("linear", (x,), n, dtype, tensors, in_features=k, out_features=n)

    def norm(self, x: str) -> str:
        bias = {"bias": np.ones(HIDDEN, np.float32)}
        return self.add("layer_norm", (x,), HIDDEN, "int8", bias, epsilon=1.0, multiplier=40.0)

    def rope(self, x: str, turns: str) -> str:
        scale = {"multiplier": np.full(HIDDEN, 0.01, np.float32)}
        return self.add("rope", (x, turns), HIDDEN, "int8", scale, head_dim=HEAD_DIM)

    def layer(self, h: str, turns: str) -> str:
        x = self.norm(h)
        q, k = (self.rope(self.linear(x, HIDDEN, "int16"), turns) for _ in range(2))
        v = self.linear(x, HIDDEN, "int8")
        scales = {
            "score_multiplier": np.full(HEADS, 0.0005, np.float32),
            "multiplier": np.full(HIDDEN, 4.0, np.float32),
        }
        heads = {"heads": HEADS, "kv_heads": HEADS, "head_dim": HEAD_DIM}
        read = (q, k, v, *self.sees)
        a = self.add("attention", read, HIDDEN, "int8", scales, causal=False, **heads)
        h = self.residual(h, self.linear(a, HIDDEN, "int16"))
        x = self.linear(self.norm(h), MLP, "int16")
        x = self.add("quick_gelu", (x,), MLP, "int8", scale=2.0**-11, inverse_scale=40.0)
        return self.residual(h, self.linear(x, HIDDEN, "int16"))

    def residual(self, h: str, x: str) -> str:
        return self.add("add", (h, x), HIDDEN, "int16", multiplier_a=1.0, multiplier_b=0.5)


def encoder(layers: int, windowed: bool = False) -> Program:
    """The program; features ``["groups", OUT]``."""
    b = Builder(windowed)
    inputs = tuple(b.buffers)
    x = b.add("quantize", ("patches",), PIXELS, "int8", inverse_scale=40.0)
    angles = np.outer(np.arange(POSITIONS), 1e4 ** -np.linspace(0, 1, HEAD_DIM // 2))
    tables = {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    half = HEAD_DIM // 4
    turns = b.add("rope_lookup", ("position_ids",), 2, "float32", tables, sections=[half, half])
    b.buffers[turns] = Buffer(turns, (ROWS, 2, HEAD_DIM), "float32")
    h = b.linear(x, HIDDEN, "int16")
    for _ in range(layers):
        h = b.layer(h, turns)
    shape = ["groups", 4 * HIDDEN]
    x = b.add("reshape", (b.norm(h),), 4 * HIDDEN, "int8", shape=shape)
    x = b.linear(x, 4 * HIDDEN, "int16")
    x = b.add("gelu", (x,), 4 * HIDDEN, "int8", scale=2.0**-11, inverse_scale=40.0)
    last = b.linear(x, OUT, "float32")
    steps = tuple(b.instructions)
    program = Program("vision", inputs, (last,), b.buffers, steps, b.tensors)
    verify(program)
    return program


def inputs_of(patches: int, window: int = 0) -> dict[str, np.ndarray]:
    """Noise, the positions of rows of 32 patches, and windows of so many patches, if any."""
    places = np.arange(patches)
    feeds = {
        "patches": np.random.default_rng(0).standard_normal((patches, PIXELS)).astype(np.float32),
        "position_ids": np.stack([places // 32 % POSITIONS, places % 32, 0 * places]),
    }
    if window:
        first = places // window * window
        feeds["visible"] = np.stack([first, np.minimum(first + window, patches)], axis=1)
    return feeds


def resident_bytes(field: str) -> int:
    """A field of this process's status: ``VmRSS`` now, or ``VmHWM`` at its height."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def memory(machine: NativeMachine, feeds: dict[str, np.ndarray]) -> int:
    """Bytes that a run takes at its height."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the height is measured from now on
    before = resident_bytes("VmRSS")
    machine.run(feeds)
    return resident_bytes("VmHWM") - before


def measure(program: Program, args: argparse.Namespace) -> dict[int, dict[str, float]]:
    """Of each size median seconds, the same over those of the first, and more; see the table."""

    def opened() -> NativeMachine:
        return NativeMachine(program, args.threads, args.isa)

    feeds = {size: inputs_of(size, args.window) for size in args.patches}
    found = {size: {"bytes": float(memory(opened(), feeds[size]))} for size in args.patches}
    machine = opened()
    rounds = [one_round(machine, feeds) for _ in range(args.rounds)]
    first = args.patches[0]
    for size, row in found.items():
        row["seconds"] = statistics.median(each[size] for each in rounds)
        row["times"] = statistics.median(each[size] / each[first] for each in rounds)
        machine.start_profile()
        machine.run(feeds[size])
        profile = machine.profile()
        attention = sum(each for name, each in profile.items() if name.startswith("attention"))
        row["attention"] = attention / sum(profile.values())
    return found


def one_round(
    machine: NativeMachine, feeds: Mapping[int, dict[str, np.ndarray]]
) -> dict[int, float]:
    """Seconds of a run of each size."""
    seconds = {}
    for size, inputs in feeds.items():
        runs = max(feeds) // size
        start = time.process_time()
        for _ in range(runs):
            machine.run(inputs)
        seconds[size] = (time.process_time() - start) / runs
    return seconds


def patch_counts(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--patches", type=patch_counts, default="256,1024,4096", help="multiples of 4"
    )
    parser.add_argument("--layers", type=int, default=4, help="Qwen2-VL has 32")
    parser.add_argument("--window", type=int, default=0, help="patches that see each other; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(encoder(args.layers, args.window > 0), args)
    if args.json:
        print(json.dumps(found))
        return
    print("patches   seconds    times  attention      MiB")
    for size, row in found.items():
        print(
            f"{size:7} {row['seconds']:9.3f} {row['times']:8.2f} {row['attention']:10.0%}"
            f" {row['bytes'] / 2**20:8.0f}"
        )


if __name__ == "__main__":
    main()
