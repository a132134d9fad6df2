"""Report: medians, extremes and ratios within rounds of a comparison's figures.

    python benchmarks/speed/report.py RESULTS [RESULTS ...]

prints the tables of several runs of the same engines as of one run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

UNITS = {
    "decode": ("decode, tokens/s", 1.0),
    "decode_4": ("decode of 4 sessions, tokens/s", 1.0),
    "prefill": ("prefill of 512, tokens/s", 1.0),
    "vision": ("one image, ms", 1e3),
    "first_token": ("image question to first token, ms", 1e3),
    "load": ("load, s", 1.0),
    "resident": ("peak resident, MB", 1e-6),
    "of_read_bandwidth": ("decode, % of the read bandwidth", 1e2),
    "of_int8_peak": ("prefill of 512, % of the int8 peak", 1e2),
}

LESS_IS_BETTER = {"vision", "first_token", "load", "resident"}

NOT_COMPARED = {"of_read_bandwidth", "of_int8_peak"}

State = dict[str, Any]
Figures = dict[str, list[float | None]]
"""Of one metric: each engine's, by name, one a round, None where it has none."""


def figures(state: State, metric: str) -> Figures:
    """One metric of all engines that have it, the best settings of one engine included."""
    found = {
        name: [each.get(name, {}).get(metric) for each in state["rounds"]]
        for name in state["engines"]
    }
    for name, settings in _settings(state["engines"]).items():
        found[name] = [
            _best(values, metric)
            for values in zip(*(found[each] for each in settings), strict=True)
        ]
    return {name: values for name, values in found.items() if _known(values)}


def _settings(engines: dict[str, str]) -> dict[str, list[str]]:
    """The engines that run one model with different settings, by what the best is called."""
    models: dict[str, list[str]] = {}
    for name, engine in engines.items():
        models.setdefault(engine.partition(",")[0], []).append(name)
    return {f"{names[0]}, best settings": names for names in models.values() if len(names) > 1}


def _best(values: tuple[float | None, ...], metric: str) -> float | None:
    known = _known(values)
    if not known:
        return None
    return min(known) if metric in LESS_IS_BETTER else max(known)


def _known(values: tuple[float | None, ...] | list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def ratios(found: Figures, metric: str, ours: str, other: str) -> list[float]:
    """How many times better ``ours`` is, round by round, where both have the figure."""
    pairs = zip(found[ours], found[other], strict=True)
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return [b / a if metric in LESS_IS_BETTER else a / b for a, b in both]


def compared(state: State) -> list[str]:
    """The engines that others are compared with: all of the first one's kind."""
    kinds = {name: engine.partition(":")[0] for name, engine in state["engines"].items()}
    first = next(iter(kinds.values()))
    return [name for name, kind in kinds.items() if kind == first]


def summary(state: State) -> dict[str, Any]:
    """Median and extremes of each figure and ratio, by metric; times in seconds."""
    result: dict[str, Any] = {}
    for metric in UNITS:
        found = figures(state, metric)
        result[metric] = {
            name: {
                **_spread(_known(values)),
                "ratios": {
                    ours: _spread(ratios(found, metric, ours, name))
                    for ours in _columns(state, found, metric)
                    if ours != name and ratios(found, metric, ours, name)
                },
            }
            for name, values in found.items()
        }
    return result


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": median(values),
        "least": min(values),
        "most": max(values),
        "rounds": len(values),
    }


def _columns(state: State, found: Figures, metric: str) -> list[str]:
    if metric in NOT_COMPARED:
        return []
    return [name for name in compared(state) if name in found]


def report(state: State) -> str:
    """A table in Markdown of each metric."""
    whole = summary(state)
    tables = [_table(state, metric, whole[metric]) for metric in UNITS if whole[metric]]
    failed = [
        f"{name} failed in {count} of {len(state['rounds'])} rounds."
        for name in state["engines"]
        if (count := sum(each.get(name) == {} for each in state["rounds"]))
    ]
    return "\n\n".join([*tables, *failed])


def _table(state: State, metric: str, rows: dict[str, Any]) -> str:
    title, factor = UNITS[metric]
    columns = [name for name in compared(state) if name in rows and metric not in NOT_COMPARED]
    heads = [title, "median", "least … most", *(f"{name} is better by" for name in columns)]
    lines = [heads, ["---"] * len(heads)]
    for name, row in rows.items():
        least, most = row["least"] * factor, row["most"] * factor
        cells = [name, f"{row['median'] * factor:.4g}", f"{least:.4g} … {most:.4g}"]
        lines.append(cells + [_ratio(row["ratios"].get(ours)) for ours in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratio(spread: dict[str, Any] | None) -> str:
    if spread is None:
        return ""
    return f"{spread['median']:.2f} ({spread['least']:.2f} … {spread['most']:.2f})"


def merged(states: list[State]) -> State:
    """The rounds of several runs of the same engines with the same threads, as of one."""
    first, *others = states
    for state in others:
        if any(state[key] != first[key] for key in ("threads", "engines")):
            sys.exit("these results are of different comparisons")
    return {**first, "rounds": [each for state in states for each in state["rounds"]]}


if __name__ == "__main__":
    paths = map(Path, sys.argv[1:])
    print(report(merged([json.loads(path.read_text(encoding="utf-8")) for path in paths])))
