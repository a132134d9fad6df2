"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vlmforge.diagnose import charts
from vlmforge.diagnose.tables import settings
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.kinds import PAGE
from vlmforge.formats.output import require_replaceable

TEMPLATE = "report.html.j2"
CURVES = 12
"""Products whose weights are drawn."""

CULPRITS = 20
"""Culprits listed."""


def write_html(report: Mapping[str, Any], path: Path) -> Path:
    """Write the report for a browser; an interrupted writer leaves the old file or none."""
    require_replaceable(path, PAGE)
    page = render(report).encode()
    with atomic_file(path) as file:
        file.write(page)
    return path


def render(report: Mapping[str, Any]) -> str:
    """The page of a report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"db": _decibels, "settings": settings}
    components = list(dict.fromkeys(node["component"] for node in report["nodes"]))
    parts = [_part(report, name) for name in components if name != "input"]
    return environment.get_template(TEMPLATE).render(
        report=report,
        culprits=report["culprits"][:CULPRITS],
        parts=parts,
        curves=[
            {"name": node["name"], "svg": Markup(charts.weight_curve(node))}
            for node in _drawn(report)
        ],
        colors=charts.COLORS,
    )


def _part(report: Mapping[str, Any], component: str) -> dict[str, Any]:
    return {
        "name": component,
        "depth": Markup(charts.error_by_depth(report, component)),
        "ranges": Markup(charts.ranges(report, component)),
        "bits": charts.bits(report, component),
    }


def _drawn(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Products worth drawing: those whose weights were spread, or concentrated, the most."""
    products = [node for node in report["nodes"] if node["weight_before"]]
    changes = sorted(products, key=lambda n: -abs(max(n["weight_before"]) - max(n["weight_after"])))
    kept = {node["name"] for node in changes[:CURVES]}
    return [node for node in products if node["name"] in kept]


def _decibels(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"
