"""The charts of the HTML report as inline SVG; colors are CSS variables of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vlmforge.diagnose.node import CLASSES
from vlmforge.diagnose.tables import depth

COLORS = dict(zip(CLASSES, ("var(--a)", "var(--b)", "var(--c)"), strict=True))
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 62

Points = Sequence[tuple[float, float, str]]
"""x, y and what the mouse shows there."""


class Plot:
    """Axes with room for marks.

    Args:
        width, height: of the drawing, in pixels.
        xs, ys: smallest and largest value of each axis.
        log: whether y is logarithmic.
        bottom: pixels below the x axis, for names.
    """

    def __init__(
        self,
        width: int,
        height: int,
        xs: tuple[float, float],
        ys: tuple[float, float],
        log: bool = False,
        bottom: int = BOTTOM,
    ) -> None:
        self.width, self.height, self.log, self.bottom = width, height, log, bottom
        self.xs = xs if xs[1] > xs[0] else (xs[0] - 0.5, xs[0] + 0.5)
        self.ys = ys
        self.marks: list[str] = []

    def x(self, value: float) -> float:
        """The pixel of an x value."""
        low, high = self.xs
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """The pixel of a y value, kept inside the axes."""
        low, high = (math.log10(v) for v in self.ys) if self.log else self.ys
        value = math.log10(max(value, 1e-12)) if self.log else value
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return self.height - self.bottom - share * (self.height - TOP - self.bottom)

    def grid(self, values: Sequence[float], label: str) -> None:
        """Horizontal lines with their values, and what they measure."""
        for value in values:
            at = f"{self.y(value):.1f}"
            self.marks.append(f'<line class="grid" x1="{LEFT}" x2="{self.width - RIGHT}"')
            self.marks[-1] += f' y1="{at}" y2="{at}"/>'
            self.text(LEFT - 6, self.y(value) + 4, f"{value:g}", "end")
        middle = (self.height - self.bottom + TOP) / 2
        self.marks.append(
            f'<text class="axis" transform="translate(11 {middle:.0f}) rotate(-90)"'
            f' text-anchor="middle">{escape(label)}</text>'
        )

    def ticks(self, names: Sequence[str], most: int = 24) -> None:
        """Names below the x axis, one a whole number, thinned where there are many."""
        step = max(1, math.ceil(len(names) / most))
        for index in range(0, len(names), step):
            if not names[index]:
                continue
            at = f"translate({self.x(index):.1f} {self.height - self.bottom + 14}) rotate(-40)"
            self.marks.append(
                f'<text class="axis" transform="{at}" text-anchor="end">'
                f"{escape(names[index])}</text>"
            )

    def line(self, points: Points, color: str, dots: bool = True) -> None:
        """A line through the points, with a dot and a tooltip at each."""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y, _ in points)
        self.marks.append(f'<polyline points="{path}" fill="none" stroke="{color}"/>')
        if dots:
            self.dots(points, color)

    def dots(self, points: Points, color: str, radius: float = 3) -> None:
        """A dot and a tooltip at each point."""
        for x, y, title in points:
            self.marks.append(
                f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius}" fill="{color}">'
                f"<title>{escape(title)}</title></circle>"
            )

    def text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """A label."""
        self.marks.append(
            f'<text class="axis" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def svg(self, title: str) -> str:
        """The drawing."""
        return (
            f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {self.width} {self.height}"'
            f' style="max-width:{self.width}px">{"".join(self.marks)}</svg>'
        )


def error_by_depth(report: Mapping[str, Any], component: str) -> str:
    """Accumulated SQNR after each stage, a line a class of rows; empty without the component."""
    stages = [node for node in depth(report) if node["component"] == component]
    series: dict[str, list[tuple[float, float, str]]] = {}
    for index, node in enumerate(stages):
        for label, errors in node["accumulated"].items():
            if errors["sqnr_db"] is not None:
                title = f"{label}, after {node['stage']}: {errors['sqnr_db']:.1f} dB"
                series.setdefault(label, []).append((index, errors["sqnr_db"], title))
    values = [y for points in series.values() for _, y, _ in points]
    if not values:
        return ""
    low, high = _rounded_range(values, 10)
    plot = Plot(900, 300, (0, len(stages) - 1), (low, high))
    plot.grid(_steps(low, high, 10), "SQNR, dB")
    plot.ticks([node["stage"] for node in stages])
    for label, points in series.items():
        plot.line(points, COLORS[label])
    return plot.svg(f"accumulated error of the {component} model by depth")


def ranges(report: Mapping[str, Any], component: str) -> str:
    """Largest value of each integer node beside the largest its codes hold."""
    nodes = [n for n in report["nodes"] if n["component"] == component and n["limit"]]
    if not nodes:
        return ""
    values = [max(n["largest"], 1e-9) for n in nodes] + [n["limit"] for n in nodes]
    low = 10.0 ** math.floor(math.log10(min(values)))
    high = 10.0 ** math.ceil(math.log10(max(values)) + 1e-9)
    plot = Plot(max(900, 7 * len(nodes)), 320, (0, len(nodes) - 1), (low, high), log=True)
    decades = round(math.log10(high / low))
    plot.grid([low * 10.0**i for i in range(decades + 1)], "absolute value")
    stages = [n["stage"] for n in nodes]
    plot.ticks([_starting(stages, index) for index in range(len(stages))], most=len(stages))
    for index, node in enumerate(nodes):
        clipped = node["largest"] > node["limit"]
        color = "var(--bad)" if clipped else "var(--a)" if node["dtype"] == "int8" else "var(--c)"
        title = f"{node['name']} ({node['dtype']}): {node['largest']:.4g} of {node['limit']:.4g}"
        plot.line(
            [(index, node["largest"], title), (index, node["limit"], title)], "var(--soft)", False
        )
        plot.dots([(index, node["limit"], title)], "var(--soft)", 2)
        plot.dots([(index, max(node["largest"], low), title)], color, 3)
    return plot.svg(f"ranges of the {component} model")


def weight_curve(node: Mapping[str, Any]) -> str:
    """Largest weight of each input channel, sorted, before and after the transformations."""
    before, after = node["weight_before"], node["weight_after"]
    high = max([1.0, *before, *after])
    plot = Plot(280, 170, (0, max(len(before), len(after)) - 1), (0.0, high * 1.05), bottom=26)
    step = 10.0 ** math.floor(math.log10(high)) / (2 if high < 10 else 1)
    plot.grid(_steps(0, high, step * math.ceil(high / step / 5)), "max / rms")
    for curve, color in ((before, "var(--b)"), (after, "var(--a)")):
        plot.line([(i, value, "") for i, value in enumerate(curve)], color, dots=False)
    plot.text(LEFT, plot.height - plot.bottom + 16, "input channels, sorted")
    return plot.svg(f"weights of {node['name']}")


def bits(report: Mapping[str, Any], component: str) -> dict[str, Any]:
    """A grid of what each node uses: stages as columns, nodes of a stage as rows."""
    nodes = [n for n in report["nodes"] if n["component"] == component]
    columns = list(dict.fromkeys(n["stage"] for n in nodes))
    cells: dict[str, dict[str, Any]] = {}
    for node in nodes:
        part = re.sub(r"^(model_)?\w*?_\d+[_/]", "", node["name"])
        cells.setdefault(part, {})[node["stage"]] = node
    return {"columns": columns, "rows": cells}


def _starting(stages: Sequence[str], index: int) -> str:
    """The stage that starts at a node; nothing within a stage, or where it is a single node."""
    stage = stages[index]
    first = index == 0 or stages[index - 1] != stage
    return stage if first and stage in stages[index + 1 : index + 2] else ""


def _rounded_range(values: Sequence[float], step: float) -> tuple[float, float]:
    low = math.floor(min(values) / step) * step
    return low, max(low + step, math.ceil(max(values) / step) * step)


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + i * step for i in range(int((high - low) / step + 1e-9) + 1)]
