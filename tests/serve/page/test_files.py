"""The page's files: all are served, none needs what its policy forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vlmforge.serve.page
from vlmforge.serve.page import HEADERS, PageFile, files

FILES = {file.route: file for file in files()}
ROOT = Path(__file__).resolve().parents[3]
LIMIT = 200  # lines
LANGUAGE = re.compile(r"^const (\w+) = \{$(.*?)^\};$", re.MULTILINE | re.DOTALL)


def text(route: str) -> str:
    return FILES[route].content.decode()


def routes(suffix: str) -> list[str]:
    return [route for route in FILES if route.endswith(suffix)]


def test_the_page_and_its_files_have_routes() -> None:
    assert FILES["/"] == PageFile("/", "text/html; charset=utf-8", FILES["/"].content)
    assert FILES["/page/main.js"].media_type == "text/javascript; charset=utf-8"
    assert FILES["/page/theme.css"].media_type == "text/css; charset=utf-8"
    assert FILES["/page/icons.svg"].media_type == "image/svg+xml"
    assert not [route for route in FILES if ".py" in route or route.count("/") > 2]


def test_every_file_is_among_them() -> None:
    (folder,) = vlmforge.serve.page.__path__
    names = {each.name for each in Path(folder).iterdir()} - {"__init__.py", "__pycache__"}
    assert {route.rpartition("/")[2] or "index.html" for route in FILES} == names


def test_what_a_file_names_is_served() -> None:
    named = re.findall(r'(?:src|href)="(page/[^"#]+)', text("/"))
    assert named and {f"/{name}" for name in named} <= set(FILES)
    for route in routes(".js"):
        imported = re.findall(r'from "\./([^"]+)"', text(route))
        assert {f"/page/{name}" for name in imported} <= set(FILES), route


def test_every_module_and_sheet_is_used() -> None:
    named = "".join(text(route) for route in FILES)
    for route in (*routes(".js"), *routes(".css")):
        name = route.rpartition("/")[2]
        assert f'./{name}"' in named or f'page/{name}"' in named, route


def test_the_wheel_ships_them() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["scikit-build"]["wheel"]
    assert wheel["packages"] == ["src/vlmforge"] and wheel["exclude"] == ["**/__pycache__"]


def test_icons_that_are_named_are_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="(\w+)"', text("/page/icons.svg")))
    modules = "".join(text(route) for route in routes(".js"))
    named = set(re.findall(r"icons\.svg#(\w+)", text("/")))
    named |= set(re.findall(r'(?:icon|iconButton)\(\s*"(\w+)"', modules))
    assert drawn == named


def test_texts_are_the_same_in_every_language() -> None:
    languages = {
        name: set(re.findall(r"^  (\w+):", body, re.MULTILINE))
        for name, body in LANGUAGE.findall(text("/page/strings.js"))
    }
    assert set(languages) == {"en", "ko"} and languages["en"] == languages["ko"]
    modules = "".join(text(route) for route in routes(".js") if route != "/page/strings.js")
    for key in languages["en"]:
        assert f'"{key}"' in modules or f'"{key}"' in text("/"), f"{key} is not used"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = text("/")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for route in FILES:
        foreign = re.findall(r"https?://[^\s\"'`)]+", text(route))
        assert set(foreign) <= {"http://www.w3.org/2000/svg"} or route == "/page/inline.js"


def test_no_module_writes_markup_or_runs_text() -> None:
    for route in routes(".js"):
        assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|eval\(|Function\(", text(route))


@pytest.mark.parametrize("route", [*routes(".js"), *routes(".css")])
def test_modules_are_short(route: str) -> None:
    assert len(text(route).splitlines()) < LIMIT


def test_the_policy_admits_the_server_alone() -> None:
    policy = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for rule in ("base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert policy[rule] == "'none'"
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "no-referrer"
