"""The page is used without a mouse, and with an input method."""

from __future__ import annotations

import sys

import pytest

from tests.serve.page.fake_server import FakeServer, Reply
from tests.serve.page.page import Page

ENTER, SHIFT, ESCAPE, CONTROL, TAB = "\ue007", "\ue008", "\ue00c", "\ue009", "\ue004"
NONE = "\ue000"


def value(page: Page) -> str:
    return str(page.one("#question").get_attribute("value"))


def focused(page: Page) -> str:
    return str(page.run("return document.activeElement.id"))


def test_enter_sends_and_shift_enter_starts_a_line(page: Page, server: FakeServer) -> None:
    assert focused(page) == "question"
    page.press("One", SHIFT, ENTER, NONE, "two")
    assert value(page) == "One\ntwo" and not server.requests
    page.press(ENTER)
    page.answered()
    assert server.requests[0]["messages"][0]["content"] == "One\ntwo"


def test_nothing_is_not_sent(page: Page, server: FakeServer) -> None:
    page.press("  ", ENTER)
    assert not server.requests and not page.all(".question")


def test_enter_sends_nothing_while_an_answer_is_written(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.press("How many?", ENTER)
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.press("And then?", ENTER)
    assert value(page) == "And then?"
    server.release()
    page.answered()
    page.press(ENTER)
    page.answered(2)
    assert len(server.requests) == 2


@pytest.mark.parametrize("composed", ["한", "안녕"])
def test_enter_that_ends_a_composition_does_not_send(
    composed: str, page: Page, server: FakeServer
) -> None:
    page.cdp("Input.imeSetComposition", text=composed, selectionStart=len(composed), selectionEnd=1)
    assert value(page) == composed
    page.run("addEventListener('keydown', (event) => { window.composing = event.isComposing; })")
    enter = {"key": "Enter", "code": "Enter"}
    page.cdp("Input.dispatchKeyEvent", type="rawKeyDown", windowsVirtualKeyCode=229, **enter)
    assert page.run("return window.composing") is True
    page.cdp("Input.insertText", text=composed)
    page.cdp("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=13, **enter)
    assert not server.requests and value(page) == composed
    page.press(ENTER)
    page.answered()
    assert server.requests[0]["messages"][0]["content"] == composed


def test_the_key_that_safari_reports_late_does_not_send(page: Page, server: FakeServer) -> None:
    page.write("한국")
    late = "new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true})"
    page.run(f"document.getElementById('question').dispatchEvent({late})")
    assert not server.requests and value(page) == "한국"


def test_escape_stops(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.press("How many?", ENTER)
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.press(ESCAPE)
    assert page.answered() == "Th"


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is the command key")
def test_control_k_starts_a_conversation(page: Page) -> None:
    page.press("How many?", ENTER)
    page.answered()
    page.one("#settings").send_keys("")
    page.press(CONTROL, "k", NONE)
    page.until(lambda: page.all(".welcome"))
    assert focused(page) == "question"
    assert page.titles() == ["How many?"]


def test_tab_goes_through_the_page_in_its_order(page: Page) -> None:
    page.press("How many?", ENTER)
    page.answered()
    page.run("document.activeElement.blur(); document.querySelector('.skip').focus()")
    order = []
    for _ in range(7):
        page.press(TAB)
        order.append(focused(page) or page.run("return document.activeElement.innerText"))
    assert order == ["new", "How many?", "settings", "title", "export", "delete", ""]
    assert page.run("return document.activeElement.closest('.question') !== null")


def test_the_focus_is_seen(page: Page) -> None:
    page.run("document.querySelector('.skip').focus()")
    page.press(TAB)
    style = "getComputedStyle(document.activeElement)"
    assert page.run(f"return {style}.outlineStyle") == "solid"
    assert page.run(f"return {style}.outlineWidth") == "2px"


def test_the_skip_link_leads_to_the_question(page: Page) -> None:
    page.run("document.querySelector('.skip').focus()")
    page.press(ENTER)
    assert focused(page) == "question"


def test_answers_are_announced_when_they_are_complete(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.press("How many?", ENTER)
    page.until(lambda: page.text(".writing .markdown") == "Th")
    announcer = "return document.querySelector('[aria-live=polite]').textContent"
    assert page.run(announcer) == "The answer begins."
    server.release()
    page.answered()
    page.until(lambda: page.run(announcer) == "Three.")


def test_every_control_has_a_name(page: Page) -> None:
    page.press("How many?", ENTER)
    page.answered()
    controls = page.all("button, input:not([hidden]), textarea, select, img")
    named = {"button", "textbox", "combobox", "spinbutton", "image", "presentation"}
    for control in controls:
        if control.is_displayed() and control.aria_role in named - {"presentation", "none"}:
            assert control.accessible_name, control.get_attribute("outerHTML")
