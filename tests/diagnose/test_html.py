"""The HTML report stands alone and shows what the JSON report says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from vlmforge.diagnose.cases import Wanted
from vlmforge.diagnose.html import render, write_html
from vlmforge.diagnose.report import diagnose_package
from vlmforge.diagnose.tables import settings, tables
from vlmforge.errors import PackageError, RunError
from vlmforge.formats.mblt import read_mblt
from vlmforge.stages.workspace import COMPONENTS, Workspace

VOID = {"meta", "input", "br", "link", "img", "hr"}


@pytest.fixture(scope="module")
def report(compiled: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    return diagnose_package(compiled, str(tiny_checkpoint), Wanted(samples=1, max_new_tokens=4))


class Balance(HTMLParser):
    """Checks that every element is closed, and collects what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(report: dict[str, Any], tmp_path: Path) -> None:
    page = write_html(report, tmp_path / "report.html").read_text("utf-8")
    balance = Balance()
    balance.feed(re.sub(r"/>", "></x>", page).replace("></x>", "/>"))

    assert balance.open == []
    assert balance.loaded == []
    assert not re.search(r"https?://|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_every_node_and_chart_is_there(report: dict[str, Any]) -> None:
    page = render(report)

    assert all(node["name"] in page for node in report["nodes"])
    assert report["culprits"][0]["why"].split(";")[0] in page
    charts = ("error of the language", "error of the vision", "ranges of the vision", "weights of")
    assert all(f'aria-label="{start}' in page or start in page for start in charts)


def test_names_are_escaped(report: dict[str, Any]) -> None:
    page = render({**report, "package": "<script>alert(1)</script>"})

    assert "<script>alert" not in page


def test_the_report_is_json_and_prefill_and_decode_are_apart(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    head = next(node for node in report["nodes"] if node["name"] == "lm_head")
    assert {label: errors["rows"] for label, errors in head["accumulated"].items()} == {
        label: count for label, count in report["tokens"].items() if count
    }
    assert set(report["tokens"]) == {"image", "text", "decode"}
    assert all(count for count in report["tokens"].values())


def test_tables_name_the_setting(report: dict[str, Any]) -> None:
    shown = {title: rows for title, _, rows in tables(report, 3)}

    assert len(shown["Culprits, the worst first"]) == 3
    assert settings({"a": {"b": [1], "c": {"d": 2}}}) == ["a.b: [1]", "a.c.d: 2"]


def test_overrides_that_mend_are_names_of_the_captured_graph(
    report: dict[str, Any], compiled: Path
) -> None:
    space = Workspace(compiled.with_name("package.work"), "Tiny-VL")
    captured = {name for part in COMPONENTS for name in read_mblt(space.mblt(part)).nodes}
    overrides = [
        each["setting"].get("bit", {}).get("layerOverrides", {}) for each in report["culprits"]
    ]
    named = {name for each in overrides for name in each.get("activation16Bits", [])}

    rotated = {node["name"] for node in report["nodes"] if node["op"] == "hadamard"}
    assert {name.removesuffix("/hadamard") for name in rotated} & named
    assert named <= captured


def test_a_text_needs_no_image(compiled: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("A red circle is left of the blue square. " * 4, "utf-8")
    wanted = Wanted(text=tmp_path / "text.txt", samples=1, length=24)
    report = diagnose_package(compiled, str(tiny_checkpoint), wanted)

    assert report["tokens"] == {"image": 0, "text": 12, "decode": 12}
    assert {node["component"] for node in report["nodes"]} == {"input", "language"}


def test_one_kind_of_input(compiled: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    wanted = Wanted(images=tmp_path, text=tmp_path / "text.txt")
    with pytest.raises(RunError, match="--questions, --images and --text"):
        diagnose_package(compiled, str(tiny_checkpoint), wanted)


def test_another_model_is_refused(compiled: Path) -> None:
    from vlmforge.sample import checkpoint

    with pytest.raises(PackageError, match="compiled from"):
        diagnose_package(compiled, str(checkpoint()), Wanted())
