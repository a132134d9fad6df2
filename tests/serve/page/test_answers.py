"""Asking, and what becomes of answers."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.serve.page.fake_server import FakeServer, Refusal, Reply
from tests.serve.page.page import Page


def messages(server: FakeServer) -> list[dict[str, Any]]:
    """Those of the last request."""
    return list(server.requests[-1]["messages"])


def test_a_question_is_answered(page: Page, server: FakeServer) -> None:
    server.says(Reply(["It is ", "a **red** ", "circle."]))
    page.ask("What is it?")
    assert page.answered() == "It is a red circle."
    assert page.text(".question .bubble") == "What is it?"
    assert page.one("#question").get_attribute("value") == ""
    (request,) = server.requests
    assert request["messages"] == [{"role": "user", "content": "What is it?"}]
    assert request["stream"] and request["stream_options"] == {"include_usage": True}
    assert request["model"] == page.text("#model") == "scenes-qwen2-vl"
    assert not {"temperature", "top_p", "max_tokens", "seed"} & set(request)


def test_the_conversation_is_sent_whole(page: Page, server: FakeServer) -> None:
    server.says("Red.", "A circle.")
    page.ask("Which color?")
    page.answered(1)
    page.ask("And which shape?")
    page.answered(2)
    assert [message["content"] for message in messages(server)] == [
        "Which color?",
        "Red.",
        "And which shape?",
    ]


def test_an_answer_is_shown_while_it_is_written(page: Page, server: FakeServer) -> None:
    server.says(Reply(["It is ", "red."], hold_after=1))
    page.ask("Which color?")
    page.until(lambda: page.text(".writing .markdown") == "It is")
    assert page.one("#send").get_attribute("aria-label") == "Stop"
    server.release()
    assert page.answered() == "It is red."
    assert page.one("#send").get_attribute("aria-label") == "Send"


def test_its_speed_is_shown(page: Page, server: FakeServer) -> None:
    server.says(Reply(["a ", "b ", "c"], hold_after=1))
    page.ask("Spell it.")
    page.until(lambda: page.text(".writing .markdown") == "a")
    time.sleep(0.1)  # of what comes within 50 ms no rate is shown
    server.release()
    page.answered()
    speed, first, tokens = (span.text for span in page.all(".figures span"))
    assert speed.split()[1] == "tokens/s" and float(speed.split()[0]) > 0
    assert first.startswith("first token after 0.") and tokens == "3 tokens"


def test_it_is_stopped(page: Page, server: FakeServer) -> None:
    server.says(Reply(["It is ", "red."], hold_after=1))
    page.ask("Which color?")
    page.until(lambda: page.text(".writing .markdown") == "It is")
    page.click("#send")
    assert page.answered() == "It is"
    assert page.text(".ending") == "You stopped this answer."
    assert server.abandoned.wait(10)


def test_it_is_stopped_before_it_begins(page: Page, server: FakeServer) -> None:
    server.says(Reply(["Red."], hold_after=0), "Blue.")
    page.ask("Which color?")
    page.until(lambda: server.requests)
    page.press("\ue00c")
    assert page.answered() == ""
    page.ask("And now?")
    page.answered(2)
    assert [message["role"] for message in messages(server)] == ["user", "user"]


def test_it_is_given_again(page: Page, server: FakeServer) -> None:
    server.says("Red.", "Crimson.")
    page.ask("Which color?")
    page.answered()
    page.click(".answer [aria-label='Answer again']")
    page.until(lambda: page.text(".answer .markdown") == "Crimson.")
    page.answered(1)
    assert server.requests[0] == server.requests[1]


def test_the_last_question_is_edited(page: Page, server: FakeServer) -> None:
    server.says("Red.", "A circle.", "Left.")
    page.ask("Which color?")
    page.answered(1)
    page.ask("Which shape?")
    page.answered(2)
    assert len(page.all("[aria-label=Edit]")) == 1
    page.click("[aria-label=Edit]")
    assert page.one("#question").get_attribute("value") == "Which shape?"
    page.run("document.querySelector('#question').select()")
    page.write("Which side?")
    page.click("#send")
    page.until(lambda: page.text(".answer .markdown") == "Left.")
    asked = [message["content"] for message in messages(server)]
    assert asked == ["Which color?", "Red.", "Which side?"]
    assert len(page.all(".question")) == 2


def test_editing_is_given_up(page: Page, server: FakeServer) -> None:
    page.ask("Which color?")
    page.answered()
    page.click("[aria-label=Edit]")
    assert page.one("#editing").is_displayed()
    page.press("\ue00c")
    assert not page.one("#editing").is_displayed()
    assert page.one("#question").get_attribute("value") == ""
    page.ask("Which shape?")
    page.answered(2)


def test_an_answer_at_its_limit_says_so(page: Page, server: FakeServer) -> None:
    server.says(Reply(["It is"], finish="length"))
    page.ask("Which color?")
    page.answered()
    assert page.text(".ending") == "The answer reached the limit of its length."


def test_settings_go_with_the_question(page: Page, server: FakeServer) -> None:
    page.click("#settings")
    values = {"temperature": "0.5", "topP": "0.9", "maxTokens": "64", "seed": "7"}
    for name, value in {**values, "system": "Be brief."}.items():
        page.one(f"#settings-dialog [name={name}]").send_keys(value)
    page.one("#settings-dialog [name=model] option:nth-child(2)").click()
    page.click("#settings-dialog [value=save]")
    page.until(lambda: page.text("#model") == "scenes-qwen3-vl")
    page.reload()
    page.ask("Which color?")
    page.answered()
    request = server.requests[-1]
    assert request["model"] == "scenes-qwen3-vl"
    assert (request["temperature"], request["top_p"]) == (0.5, 0.9)
    assert (request["max_tokens"], request["seed"]) == (64, 7)
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}


def test_values_out_of_range_are_not_saved(page: Page) -> None:
    page.click("#settings")
    page.one("#settings-dialog [name=temperature]").send_keys("-1")
    page.click("#settings-dialog [value=save]")
    assert page.one("#settings-dialog").get_attribute("open")
    page.click("#settings-dialog [data-text=cancel]")
    assert page.run("return localStorage.length") == 0


def test_what_the_server_refuses_is_told(page: Page, server: FakeServer) -> None:
    server.says(Refusal.saying(400, "This model's context holds <b>4096</b> tokens."), "Red.")
    page.ask("Which color?")
    page.answered()
    told = page.text(".failure")
    assert "The server could not answer (400)." in told
    assert "This model's context holds <b>4096</b> tokens." in told
    page.click(".failure button")
    page.until(lambda: page.text(".answer .markdown") == "Red.")
    assert not page.all(".failure")


def test_a_question_that_was_refused_is_not_sent_again(page: Page, server: FakeServer) -> None:
    server.says("Red.", Refusal.saying(400, "Videos are not taken."), "Left.")
    for place, question in enumerate(("Which color?", "Which film?", "Which side?"), 1):
        page.ask(question)
        page.answered(place)
    asked = [message["content"] for message in messages(server)]
    assert asked == ["Which color?", "Red.", "Which side?"]
    assert "What followed was asked without this question." in page.text(".failure")


def test_a_busy_server_is_waited_for(page: Page, server: FakeServer) -> None:
    server.says(Refusal.saying(429, "Too many requests.", Retry_After="12"))
    page.ask("Which color?")
    page.answered()
    assert page.text(".failure p") == "Too many requests."
    assert "The server is busy. Try again in 12 s." in page.text(".failure")


def test_other_errors_are_told(page: Page, server: FakeServer) -> None:
    broken = Reply(["It is"], finish=None)
    failing = Reply(["It is"], error="The cache is full.")
    server.says(broken, failing, Refusal(502, "<html>Bad gateway</html>"))
    for place, told in enumerate(("broke off", "The cache is full.", "(502)"), 1):
        page.ask("Which color?")
        page.answered(place)
        assert told in page.text(".failure")
    assert "<html>" not in page.text(".failure")
    server.shutdown()
    server.server_close()
    page.ask("Which color?")
    page.answered(4)
    assert "cannot be reached" in page.text(".failure")


def test_a_key_is_asked_for_and_kept_in_the_tab(page: Page, server: FakeServer) -> None:
    server.key = "sesame"
    page.ask("Which color?")
    page.until(lambda: page.one("#key-dialog").get_attribute("open"))
    page.one("#key-dialog [name=key]").send_keys("wrong", "\ue007")
    page.until(lambda: page.text("#key-dialog p") == "The server does not take this key.")
    page.one("#key-dialog [name=key]").send_keys("sesame", "\ue007")
    page.until(lambda: page.text(".answer .markdown") == "Yes.")
    kept = page.run(
        "return [JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage})]"
    )
    assert "sesame" not in kept[0] and "sesame" in kept[1]
    assert json.loads(page.module("store.js", KEPT)) == [False]


KEPT = """(async () => {
  const store = await module.ConversationStore.open();
  const [{ id }] = await store.list();
  return JSON.stringify([JSON.stringify(await store.get(id)).includes("sesame")]);
})()"""


def test_a_key_refused_at_the_start_is_asked_for_again(page: Page, server: FakeServer) -> None:
    server.key = "sesame"
    page.driver.refresh()
    page.until(lambda: page.one("#key-dialog").get_attribute("open"))
    page.click("#key-dialog [data-text=cancel]")
    assert page.text("#model") == ""
    page.ask("Which color?")
    page.until(lambda: page.one("#key-dialog").get_attribute("open"))
    page.one("#key-dialog [name=key]").send_keys("sesame", "\ue007")
    page.until(lambda: page.text(".answer .markdown") == "Yes.")
    assert server.requests[-1]["model"] == page.text("#model") == "scenes-qwen2-vl"


def test_the_key_is_asked_for_at_the_start(page: Page, server: FakeServer) -> None:
    server.key = "sesame"
    page.driver.refresh()
    page.until(lambda: page.one("#key-dialog").get_attribute("open"))
    page.one("#key-dialog [name=key]").send_keys("sesame", "\ue007")
    page.until(lambda: page.text("#model") == "scenes-qwen2-vl")
