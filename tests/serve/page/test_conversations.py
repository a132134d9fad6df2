"""Conversations are kept in the browser."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from PIL import Image

from tests.serve.page.fake_server import FakeServer, Reply
from tests.serve.page.page import Page


def hold_two(page: Page, server: FakeServer, picture: Path) -> None:
    """Have two conversations, the first with a picture."""
    Image.new("RGB", (60, 40), "red").save(picture)
    server.says("It is **red**.", "Three.")
    page.choose(picture)
    page.ask("Which color?")
    page.answered()
    page.click("#new")
    page.ask("How many?")
    page.answered()


def test_they_are_there_after_a_reload(page: Page, server: FakeServer, tmp_path: Path) -> None:
    hold_two(page, server, tmp_path / "red.png")
    page.reload()
    assert page.titles() == ["How many?", "Which color?"]
    assert page.text(".answer .markdown") == "Three."
    page.click("[title='Which color?']")
    page.until(lambda: page.text(".answer .markdown") == "It is red.")
    page.until(
        lambda: page.run("return document.querySelector('.question img').naturalWidth") == 60
    )
    page.ask("Are you sure?")
    page.answered(2)
    earlier = server.requests[-1]["messages"][0]["content"]
    sent = base64.b64decode(earlier[0]["image_url"]["url"].partition(",")[2])
    assert sent == (tmp_path / "red.png").read_bytes()
    assert page.titles() == ["Which color?", "How many?"]


def test_one_is_renamed(page: Page) -> None:
    page.ask("Which color?")
    page.answered()
    page.click("#title")
    page.press("The red circle <b>", "\ue007")
    page.until(lambda: page.titles() == ["The red circle <b>"])
    page.reload()
    assert page.text("h1") == "The red circle <b>"
    page.click("#title")
    page.press("Something else", "\ue00c")
    assert page.text("h1") == "The red circle <b>"


def test_one_is_renamed_while_it_is_answered(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.ask("How many?")
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.click("#title")
    server.release()
    page.answered()
    page.press("Shapes", "\ue007")
    page.until(lambda: page.titles() == ["Shapes"])
    assert page.run("return document.activeElement.id") == "title"


def test_one_is_deleted(page: Page, server: FakeServer, tmp_path: Path) -> None:
    hold_two(page, server, tmp_path / "red.png")
    page.click("#delete")
    assert "“How many?”" in page.text("#delete-dialog p")
    page.click("#delete-dialog [data-text=cancel]")
    assert len(page.titles()) == 2
    page.click("#delete")
    page.click("#delete-dialog [value=save]")
    page.until(lambda: page.titles() == ["Which color?"])
    page.reload()
    assert page.titles() == ["Which color?"] and page.all(".welcome")


def test_one_is_deleted_while_it_is_answered(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.ask("How many?")
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.click("#delete")
    page.click("#delete-dialog [value=save]")
    page.until(lambda: not page.titles())
    assert server.abandoned.wait(10)
    page.reload()
    assert page.titles() == []


def test_an_answer_goes_on_while_another_is_read(page: Page, server: FakeServer) -> None:
    server.says("Red.", Reply(["Th", "ree."], hold_after=1))
    page.ask("Which color?")
    page.answered()
    page.click("#new")
    page.ask("How many?")
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.click("[title='Which color?']")
    page.until(lambda: page.text(".answer .markdown") == "Red.")
    assert page.one("#send").get_attribute("aria-label") == "Send"
    page.click("[title='How many?']")
    page.until(lambda: page.text(".writing .markdown") == "Th")
    server.release()
    assert page.answered() == "Three."


def test_an_answer_that_the_page_left_says_so(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Th", "ree."], hold_after=1))
    page.ask("How many?")
    page.until(lambda: page.text(".writing .markdown") == "Th")
    page.reload()
    page.answered()
    assert page.text(".ending") == "The page was closed before the answer was complete."
    page.click("[aria-label='Answer again']")
    page.until(lambda: page.text(".answer .markdown") == "Yes.")


def test_one_is_exported(page: Page, server: FakeServer, tmp_path: Path) -> None:
    hold_two(page, server, tmp_path / "red.png")
    page.click("[title='Which color?']")
    page.until(lambda: page.text(".answer .markdown") == "It is red.")
    folder = tmp_path / "downloads"
    page.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.click("#export")
    file = folder / "Which-color-.json"
    page.until(file.is_file)
    exported = json.loads(file.read_text("utf-8"))
    assert exported["title"] == "Which color?"
    question, answer = exported["messages"]
    assert answer == {"role": "assistant", "content": "It is **red**."}
    assert question == server.requests[0]["messages"][0]


def test_a_browser_that_keeps_nothing_says_so(page: Page, server: FakeServer) -> None:
    script = "Object.defineProperty(window, 'indexedDB', {get() { throw new Error('barred'); }})"
    barred = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=script)
    page.reload()
    page.cdp("Page.removeScriptToEvaluateOnNewDocument", **barred)
    assert "keeps nothing" in page.text("#notices")
    page.ask("How many?")
    page.answered()
    page.click("#new")
    page.click("[title='How many?']")
    page.until(lambda: page.text(".answer .markdown") == "Yes.")


def test_a_full_storage_is_told(page: Page) -> None:
    page.run(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError') }"
    )
    page.ask("How many?")
    page.answered()
    assert "could not be kept" in page.text("#notices")
