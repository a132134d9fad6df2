"""No text is markup, wherever it stands."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vlmforge.publish.markdown import fenced, plain, table
from vlmforge.text import shown

RENDER = MarkdownIt("commonmark").enable("table").render
HOSTILE = [
    "`code`", "a|b", "<script>alert(1)</script>", "[x](http://x.y)", "![x](y)", "**b** _i_ ~~s~~",
    "# h", "- a", "1. a", "> q", "&lt;b&gt;", "\\", "\\`", "\\|", "a\nb", "---", "===", "$x$",
    "<!-- c -->", "http://x.y", "www.x.y", "me@x.y", "\x1b[31m", "\u202eabc", "|", "```", ":smile:",
]  # fmt: skip

TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.sampled_from("ab1 `*_[](){}<>#|\\-+.!~&;:/@=$'\"\n\tß한"), min_size=1, max_size=12),
    st.text(min_size=1, max_size=12),
)


def text_of(page: str) -> list[str]:
    """The texts between the tags of a page."""
    return [html.unescape(part).strip() for part in re.split(r"<[^>]*>", page) if part.strip()]


def expected(text: str) -> str:
    return shown(text, keep="").strip()


@given(TEXTS)
def test_texts_read_as_they_are(text: str) -> None:
    if not expected(text):
        return
    assert text_of(RENDER(f"before {plain(text)} after")) == [f"before {expected(text)} after"]
    assert text_of(RENDER(f"# {plain(text)}\n")) == [expected(text)]
    page = RENDER(table(("", "b"), [(text, "x"), ("y", text)]))
    assert text_of(page) == ["b", expected(text), "x", "y", expected(text)]
    assert set(re.findall(r"<(\w+)", page)) <= {"table", "thead", "tbody", "tr", "th", "td"}


@given(TEXTS)
def test_no_code_ends_its_block(text: str) -> None:
    page = RENDER(fenced("json", f"{text}\n```\n# no heading\n{text}"))
    assert page.startswith('<pre><code class="language-json">') and page.count("<pre>") == 1
    assert "<h1>" not in page and page.endswith("</code></pre>\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_becomes_an_element(text: str) -> None:
    assert set(re.findall(r"<(\w+)", RENDER(f"x {plain(text)}"))) == {"p"}
