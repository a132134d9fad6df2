"""The command inspect, and how its findings become tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vlmforge import console
from vlmforge.cli.options import Json, VerifyKey, app

LISTS = ("nodes", "values", "samples", "spans")
"""Facts shown as tables of their own, a row for each entry."""

NESTED = ("programs", "parts")
"""Facts that are facts of their own."""

COLUMNS = {
    "nodes": ("name", "op", "shape", "dtype", "scale"),
    "values": ("name", "shape", "dtype", "least", "largest"),
}
"""Which facts of an entry are shown; all of a sample's."""

TITLES = {"name": "node", "op": "operator"}


@app.command("inspect")
def inspect_(
    file: Annotated[
        str, typer.Argument(help=".mblt, .mxq, .infer, .kv, a package or calibration data.")
    ],
    verify_key: VerifyKey = None,
    as_json: Json = False,
) -> None:
    """Show what a file, a package or calibration data holds."""
    from vlmforge.inspection import inspect

    facts, title = inspect(file, verify_key), Path(file).name
    if as_json:
        console.print_json(facts)
        return
    parts: Mapping[str, Any] = next((facts[key] for key in NESTED if key in facts), {})
    for name, part in {**parts, title: facts}.items():
        for key in LISTS:
            if key in part:
                print_list(name, key, part[key])
    for name, part in {title: facts, **parts}.items():
        hidden = (*LISTS, *NESTED)
        console.print_facts(name, {k: readable(v) for k, v in part.items() if k not in hidden})


def print_list(name: str, kind: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """A row for each entry."""
    columns = COLUMNS.get(kind) or tuple(dict.fromkeys(key for e in entries for key in e))
    rows = [[readable(entry.get(column, "")) for column in columns] for entry in entries]
    titles = columns if kind != "nodes" else [TITLES.get(column, column) for column in columns]
    console.print_table(name, titles, rows)


def readable(value: Any) -> str:
    """A fact as people read it: no brackets and quotes, a line for each part of a mapping."""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_inline(each)}" for key, each in value.items())
    return _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        numbers = all(isinstance(each, int) for each in value)
        return (" × " if numbers else ", ").join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
