"""Answers are Markdown, and never more than that."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serve.page.fake_server import FakeServer, Reply
from tests.serve.page.page import Page

ALL = """# Title

A *slanted*, **strong**, ***both***, ~~gone~~ and `code` word,
on two lines with a [link](https://example.com/a_(b) "title").

> quoted
> > twice

1. one
   - inner
2. two

| Left | Right |
| :-- | --: |
| `a|b` | 2 |
| \\| | |

```python
if a < b:
    print("**not strong**")
```

---
5 * 3 * 2 = 30, snake_case_name, 2 ** 3 ** 2, https://example.com/길."""


def shown(modules: Page, text: str) -> Any:
    """The element that shows a text, as a tree of [tag, attributes, children]."""
    return modules.module("render.js", TREE, text)


TREE = """(() => {
  const view = new module.MarkdownView();
  view.show(values[0]);
  const tree = (node) => node.nodeType === 3 ? node.data : [node.tagName.toLowerCase(),
    ...(node.tagName === "BUTTON" ? [] : [...node.childNodes].map(tree))];
  return [...view.node.childNodes].map(tree);
})()"""


def test_blocks_and_spans(modules: Page) -> None:
    heading, paragraph, quote, numbers, table, code, rule, last = shown(modules, ALL)
    assert heading == ["h3", "Title"]
    assert paragraph == [
        "p",
        "A ",
        ["em", "slanted"],
        ", ",
        ["strong", "strong"],
        ", ",
        ["em", ["strong", "both"]],
        ", ",
        ["del", "gone"],
        " and ",
        ["code", "code"],
        " word,",
        ["br"],
        "on two lines with a ",
        ["a", "link"],
        ".",
    ]
    assert quote == ["blockquote", ["p", "quoted"], ["blockquote", ["p", "twice"]]]
    inner = ["ul", ["li", ["p", "inner"]]]
    assert numbers == ["ol", ["li", ["p", "one"], inner], ["li", ["p", "two"]]]
    head, body = table[1][1:]
    assert head == ["thead", ["tr", ["th", "Left"], ["th", "Right"]]]
    assert body[2] == ["tr", ["td", "|"], ["td"]]
    assert code[2] == ["pre", ["code", 'if a < b:\n    print("**not strong**")']]
    assert rule == ["hr"]
    assert last == [
        "p",
        "5 * 3 * 2 = 30, snake_case_name, 2 ** 3 ** 2, ",
        ["a", "https://example.com/"],
        "길.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**단어**는", ["p", ["strong", "단어"], "는"]),
        ("*a **b** c*", ["p", ["em", "a ", ["strong", "b"], " c"]]),
        ("**a *b***", ["p", ["strong", "a ", ["em", "b"]]]),
        ("**open", ["p", "**open"]),
        ("`` a`b ``", ["p", ["code", "a`b"]]),
        ("\\*plain\\*", ["p", "*plain*"]),
        ("It was in\n2024. Then", ["p", "It was in", ["br"], "2024. Then"]),
        ("Steps:\n1. a\n2. b", ["p", "Steps:"]),
        ("![a picture](https://example.com/a.png)", ["p", ["a", "a picture"]]),
        ("#hashtag", ["p", "#hashtag"]),
        (
            "```\nunclosed",
            ["div", ["div", ["span", ""], ["button"]], ["pre", ["code", "unclosed"]]],
        ),
    ],
)
def test_details(text: str, expected: Any, modules: Page) -> None:
    assert shown(modules, text)[0] == expected


def test_a_list_starts_at_its_number(page: Page, server: FakeServer) -> None:
    server.says("3. three\n4. four")
    page.ask("Count.")
    page.answered()
    assert page.one(".markdown ol").get_attribute("start") == "3"


def test_code_is_copied(page: Page, server: FakeServer) -> None:
    page.allow_clipboard()
    server.says("Run:\n\n```sh\nmake demo\nmake test\n```")
    page.ask("How?")
    page.answered()
    page.click(".code [aria-label=Copy]")
    read = "navigator.clipboard.readText().then((text) => { window.pasted = text; })"
    page.run(read)
    assert page.until(lambda: page.run("return window.pasted")) == "make demo\nmake test"


def test_links_open_elsewhere_and_tell_nothing(page: Page, server: FakeServer) -> None:
    server.says("[a](https://example.com/a) <https://example.com/b> http://example.com/c.")
    page.ask("Where?")
    page.answered()
    links = page.all(".markdown a")
    assert [link.get_attribute("href") for link in links] == [
        "https://example.com/a",
        "https://example.com/b",
        "http://example.com/c",
    ]
    for link in links:
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.get_attribute("target") == "_blank"


HOSTILE = [
    "<script>window.harmed = true</script>",
    "<img src=x onerror='window.harmed = true'>",
    "<svg onload='window.harmed = true'></svg>",
    "<iframe srcdoc='<script>parent.harmed = true</script>'></iframe>",
    "[click](javascript:window.harmed=true)",
    "[click](JaVaScRiPt:window.harmed=true)",
    "[click](java\tscript:window.harmed=true)",
    "[click](data:text/html,<script>window.harmed=true</script>)",
    "[click](//example.com)",
    "[click](vbscript:x) [click](file:///etc/passwd) [click](#title)",
    '[click](https://example.com/"onmouseover="window.harmed=true)',
    "<javascript:window.harmed=true>",
    "![x](https://example.com/spy.png)",
    "```html\n<script>window.harmed = true</script>\n```",
    "| <script>window.harmed = true</script> |\n| --- |\n| <b onclick='harmed()'>x</b> |",
    '```"><img/src=x/onerror=window.harmed=true>\ncode\n```',
]


@pytest.mark.parametrize("wrapped", [False, True])
def test_hostile_answers_stay_text(wrapped: bool, page: Page, server: FakeServer) -> None:
    answers = [f"> - **{text}**" if wrapped else text for text in HOSTILE]
    server.says(Reply(["\n\n".join(answers)]))
    page.ask(HOSTILE[0])
    page.answered()
    made = "document.querySelectorAll('.messages :is(script, img, svg:not(.icon), iframe, b)')"
    assert page.run(f"return {made}.length") == 0
    for link in page.all(".markdown a"):
        link_address = link.get_attribute("href")
        assert link_address.startswith("https://example.com/")
    assert page.run("return window.harmed") is None
    assert page.text(".question .bubble") == HOSTILE[0]
    assert page.titles()[0].startswith("<script>")


def test_attributes_come_from_no_answer(page: Page, server: FakeServer) -> None:
    server.says("\n\n".join(HOSTILE))
    page.ask("What?")
    page.answered()
    names = page.run(
        "return [...new Set([...document.querySelectorAll('.markdown *:not(svg, svg *)')]"
        ".flatMap((node) => node.getAttributeNames()))].sort()"
    )
    assert set(names) <= {
        "aria-label",
        "class",
        "href",
        "rel",
        "tabindex",
        "target",
        "title",
        "type",
    }


@pytest.mark.parametrize(
    "text",
    [
        ">" * 20000,
        "- " * 20000,
        "*" * 20000,
        "**a " * 10000,
        "[" * 20000,
        "[a](" * 10000,
        "`" * 20000 + "a",
        "` `` " * 5000,
        "_a " * 10000,
        " " * 20000 + "|",
        "|" * 20000 + "\n" + "|-" * 20000,
        "\n".join("  " * depth + "- a" for depth in range(500)),
        "\\" * 20000,
        "<" * 20000,
        "~~~\n" * 5000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_no_answer_stalls_the_page(text: str, modules: Page) -> None:
    assert modules.module("render.js", TIMED, text) < 3000


TIMED = """(() => {
  const start = performance.now();
  new module.MarkdownView().show(values[0]);
  return performance.now() - start;
})()"""


def test_blocks_that_stay_the_same_are_left_alone(modules: Page) -> None:
    grown = modules.module(
        "render.js",
        """(() => {
          const view = new module.MarkdownView();
          view.show("one\\n\\ntw");
          const [first, second] = view.node.children;
          view.show("one\\n\\ntwo\\n\\nthree");
          const [one, two] = view.node.children;
          return [one === first, two === second, view.node.textContent];
        })()""",
    )
    assert grown == [True, False, "onetwothree"]
