"""The report of a benchmark as rows to read."""

from __future__ import annotations

from typing import Any

Row = tuple[str, ...]

COLUMNS = ("", "median", "fastest … slowest", "speed", "of read bandwidth", "of int8 peak")
PROFILE_COLUMNS = ("kind", "instructions", "ms", "share", "of read bandwidth", "of int8 peak")


def rows(report: dict[str, Any]) -> list[Row]:
    """One row for each kind of work that was measured."""
    named = [("load", report["load"]), ("image question to first token", report["first_token"])]
    named += [(f"prefill of {each['tokens']}", each) for each in report["prefill"]]
    together = report["decode_together"]
    named += [
        (f"decode of {report['decode']['tokens']}", report["decode"]),
        (f"decode, {together['sessions']} sessions together", together),
        ("one image", report["vision"]),
    ]
    return [_row(name, facts) for name, facts in named if facts is not None]


def profile_rows(shares: list[dict[str, Any]]) -> list[Row]:
    """One row for each kind of instruction."""
    return [
        (
            share["kind"],
            str(share["instructions"]),
            f"{share['seconds'] * 1e3:.2f}",
            f"{share['share']:.1%}",
            *_parts(share),
        )
        for share in shares
    ]


def facts(report: dict[str, Any]) -> dict[str, object]:
    """The machine, its limits, and memory."""
    machine, limits, memory = report["machine"], report["limits"], report["memory"]
    return {
        "machine": f"{machine['implementation']}, {machine['instruction_set'] or 'NumPy'}",
        "threads": machine["threads"],
        "processor": machine["processor"],
        "read bandwidth": _giga(limits["read_bandwidth"], "GB/s"),
        "int8 peak": _giga(limits["int8_peak"], "GOP/s"),
        "weights read a token": f"{_weights_a_token(report) / 1e6:.1f} MB",
        "peak resident memory": _megabytes(memory["peak_resident"]),
        "mapped tensors": f"{memory['mapped'] / 1e6:.0f} MB",
    }


def _weights_a_token(report: dict[str, Any]) -> float:
    decode = report["decode"]
    return float(decode["weight_bytes"]) / float(decode["tokens"])


def _row(name: str, measured: dict[str, Any]) -> Row:
    speed = measured.get("tokens_per_second")
    tokens = measured.get("tokens")
    if name.startswith("image question"):
        name, speed = f"{name} ({tokens} tokens)", None
    spread = f"{_seconds(measured['fastest'])} … {_seconds(measured['slowest'])}"
    shown = "" if speed is None else f"{speed:.1f} tokens/s"
    return (name, _seconds(measured["median"]), spread, shown, *_parts(measured))


def _parts(measured: dict[str, Any]) -> tuple[str, str]:
    parts = (measured.get("of_read_bandwidth"), measured.get("of_int8_peak"))
    bandwidth, peak = ("" if part is None else f"{part:.0%}" for part in parts)
    return bandwidth, peak


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"


def _giga(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value / 1e9:.1f} {unit}"
