"""Server-sent events are read however their bytes are cut."""

from __future__ import annotations

import pytest

from tests.serve.page.page import Page

EVENTS = """(async () => {
  const bytes = new TextEncoder().encode(values[0]);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += values[1]) {
        controller.enqueue(bytes.slice(at, at + values[1]));
      }
      controller.close();
    },
  });
  const found = [];
  for await (const data of module.readEvents(body)) found.push(data);
  return found;
})()"""


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_read_however_they_are_cut(size: int, modules: Page) -> None:
    stream = (
        "data: 하나\n\n: comment\nevent: x\ndata:two\r\ndata: 2\r\n\r\n\r\rdata: 셋\r\rdata: cut"
    )
    assert modules.module("events.js", EVENTS, stream, size) == ["하나", "two\n2", "셋"]
