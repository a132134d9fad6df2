"""A report as tables for a terminal: titles, column names, rows of text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]

NODES_SHOWN = 12
"""Nodes of the coverage table."""


def tables(report: Mapping[str, Any], culprits: int) -> list[Table]:
    """Logits, error by depth, the first culprits, and values beyond the calibrated ranges."""
    shown = [_logits(report), _depth(report), *_culprits(report, culprits)]
    return [*shown, _coverage(report)] if report["coverage"] else shown


def depth(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The last node of each stage: where the stage's error is seen."""
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for node in report["nodes"]:
        last[node["component"], node["stage"]] = node
    return list(last.values())


def _logits(report: Mapping[str, Any]) -> Table:
    rows = [
        (label, str(found["rows"]), f"{found['kl']:.5f}", f"{found['top1_agreement']:.2%}")
        for label, found in report["logits"].items()
        if found["rows"]
    ]
    return "Logits against the original", ("rows", "count", "KL", "top-1 agreement"), rows


def _depth(report: Mapping[str, Any]) -> Table:
    rows = [
        (
            node["component"],
            node["stage"],
            *(_db(node["accumulated"].get(label)) for label in report["logits"]),
        )
        for node in depth(report)
    ]
    columns = ("component", "after", *(f"{label}, dB" for label in report["logits"]))
    return "Accumulated error (SQNR)", columns, rows


def _culprits(report: Mapping[str, Any], count: int) -> list[Table]:
    found = report["culprits"][:count]
    columns = ("", "node", "kind", "share", "local, dB", "here, dB")
    rows = [
        (
            str(rank),
            culprit["name"],
            culprit["kind"],
            f"{culprit['share']:.1%}",
            _number(culprit["local_sqnr_db"]),
            _number(culprit["accumulated_sqnr_db"]),
        )
        for rank, culprit in enumerate(found, 1)
    ]
    mends = [
        (str(rank), f"{c['why']}: {c['mend']}", "\n".join(settings(c["setting"])))
        for rank, c in enumerate(found, 1)
    ]
    return [
        ("Culprits, the worst first", columns, rows),
        ("What mends them", ("", "why, and what to do", "setting"), mends),
    ]


def settings(setting: Mapping[str, Any], path: str = "") -> list[str]:
    """A part of a configuration as lines such as ``calibration.mode: 1``."""
    lines: list[str] = []
    for key, value in setting.items():
        name = f"{path}.{key}" if path else key
        nested = isinstance(value, Mapping)
        lines += settings(value, name) if nested else [f"{name}: {json.dumps(value)}"]
    return lines


def _coverage(report: Mapping[str, Any]) -> Table:
    rows = [
        (node["name"], f"{node['outside']:.3%}", f"{node['saturated']:.3%}", f"{node['used']:.2f}")
        for node in report["coverage"][:NODES_SHOWN]
    ]
    columns = ("node", "beyond the range", "codes at the limit", "largest / limit")
    return "Values beyond the calibrated ranges", columns, rows


def _db(errors: Mapping[str, Any] | None) -> str:
    return "" if errors is None else _number(errors["sqnr_db"])


def _number(decibels: float | None) -> str:
    return "exact" if decibels is None else f"{decibels:.1f}"
