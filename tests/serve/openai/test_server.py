"""Servers: who is let in, how much, how long, and how they end."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import openai
import pytest
from openai import OpenAI

from tests.dialogues import CountingMachine
from tests.serve.openai.conftest import client_of, running
from tests.serve.openai.test_chat import QUESTION, ask
from vlmforge.run.session import Session
from vlmforge.serve.openai import access
from vlmforge.serve.openai.server import Serving


def raw(address: str, sent: bytes, close: bool = False) -> bytes:
    """What a server answers to some bytes, until it closes the connection or is silent."""
    with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as own:
        own.sendall(sent)
        if close:
            return b""
        own.settimeout(3)
        found = b""
        try:
            while data := own.recv(1 << 16):
                found += data
        except TimeoutError:
            pass
        return found


def request(body: bytes, *headers: str, host: str = "localhost", method: str = "POST") -> bytes:
    lines = [f"{method} /v1/chat/completions HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += ["Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def metric(address: str, name: str) -> float:
    with urlopen(f"{address}/metrics") as found:
        lines = found.read().decode().splitlines()
    return float(next((line.split()[-1] for line in lines if line.startswith(name)), 0))


def test_keys(session: Session) -> None:
    with running(session, Serving(keys=["one", "two"])) as address:
        assert ask(client_of(address, "two"), model="")
        for key in ("three", "o", "one two"):
            with pytest.raises(openai.AuthenticationError) as caught:
                client_of(address, key).models.list()
            assert caught.value.code == "invalid_api_key"
        assert urlopen(f"{address}/health").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", b"400"),
        ("127.0.0.1", b"400"),
        ("[::1]:80", b"400"),
        ("evil.example", b"403"),
        ("localhost.evil.example:8000", b"403"),
    ],
)
def test_names_that_point_here_are_not_ours(address: str, host: str, status: bytes) -> None:
    found = raw(address, request(b"{}", "Content-Length: 2", host=host))

    assert found.split()[1] == status


HOSTILE = {
    "no length": (request(b"{}"), b"4"),
    "a length that is no number": (request(b"{}", "Content-Length: x"), b"400"),
    "100 MB announced": (request(b"", "Content-Length: 104857600"), b"413"),
    "no JSON": (request(b"{not", "Content-Length: 4"), b"400"),
    "a number": (request(b"17", "Content-Length: 2"), b"400"),
    "deep": (request(b"[" * 100_000, "Content-Length: 100000"), b"400"),
    "not UTF-8": (request(b"\xff\xfe\x00\x00", "Content-Length: 4"), b"400"),
    "another method": (request(b"", "Content-Length: 0", method="DELETE"), b"405"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests(address: str, client: OpenAI, name: str) -> None:
    sent, status = HOSTILE[name]

    assert raw(address, sent).split()[1].startswith(status)
    assert ask(client)


def test_a_body_that_grows_beyond_the_limit(session: Session) -> None:
    with running(session, Serving(most_bytes=1 << 20)) as address:
        chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        found = raw(address, request(chunk * 17, "Transfer-Encoding: chunked"))
        assert found.split()[1] == b"413"
        assert b"more than 1 MB" in found


def test_bodies_that_hold_too_much_together(session: Session) -> None:
    with running(session, Serving(most_bytes=1 << 20)) as address:
        half = request(bytes((1 << 20) - 9), f"Content-Length: {1 << 20}")
        held = []
        for _ in range(9):
            own = socket.create_connection(("127.0.0.1", urlsplit(address).port))
            own.sendall(half)
            held.append(own)
        refused = 'vlmforge_requests_total{route="/v1/chat/completions",status="429"}'
        wait_for(lambda: metric(address, refused) == 1)
        for own in held:
            own.close()
        wait_for(lambda: bool(ask(client_of(address), model="")))


def test_half_a_request_waits_no_longer_than_is_allowed(
    address: str, client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "BODY_SECONDS", 0.2)

    found = raw(address, request(b'{"mess', "Content-Length: 60"))

    assert found.split()[1] == b"408" and ask(client)
    raw(address, request(b'{"mess', "Content-Length: 60"), close=True)
    assert ask(client)


def test_ten_thousand_turns(client: OpenAI) -> None:
    turns = [{"role": role, "content": "a"} for role in ("user", "assistant")] * 5000

    with pytest.raises(openai.BadRequestError, match=r"maximum length|too much"):
        ask(client, turns)


def test_unknown_routes(address: str, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="tiny", input="a")
    assert b"404" in raw(address, b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")[:20]


@pytest.fixture
def slow(dynamic_session: Session) -> Session:
    return dataclasses.replace(
        dynamic_session, text=CountingMachine(dynamic_session.text, pause=0.02)
    )


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_client_that_goes_away_frees_its_place(slow: Session) -> None:
    with running(slow, Serving(max_running=1)) as address:
        body = json.dumps({"messages": QUESTION, "max_tokens": 400}).encode()
        streamed = json.dumps({"messages": QUESTION, "max_tokens": 400, "stream": True}).encode()
        for sent in (body, streamed):
            own = socket.create_connection(("127.0.0.1", urlsplit(address).port))
            own.sendall(request(sent, f"Content-Length: {len(sent)}"))
            wait_for(lambda: metric(address, "vlmforge_running ") == 1)
            own.close()
            wait_for(lambda: metric(address, "vlmforge_running ") == 0)
        assert metric(address, "vlmforge_generated_tokens_total") < 400


def test_a_full_queue(slow: Session) -> None:
    with running(slow, Serving(max_running=1, max_waiting=1)) as address:
        client = client_of(address)
        streams = [ask(client, model="", max_tokens=300, stream=True) for _ in range(2)]
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client, model="")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        with pytest.raises(openai.RateLimitError):
            ask(client, model="", n=3)
        for stream in streams:
            stream.close()
        wait_for(lambda: metric(address, "vlmforge_running ") == 0)
        assert ask(client, model="")


def test_side_by_side_as_alone(client: OpenAI) -> None:
    questions: list[Any] = [[{"role": "user", "content": f"{n}: what?"}] for n in range(12)]
    alone = [ask(client, each, max_tokens=20).choices[0].message.content for each in questions]

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda each: ask(client, each, max_tokens=20), questions))

    assert [each.choices[0].message.content for each in found] == alone


def test_a_slow_reader_gets_all_and_holds_up_nobody(client: OpenAI) -> None:
    whole = ask(client, max_tokens=60).choices[0].message.content
    stream = iter(ask(client, max_tokens=60, stream=True))
    first = next(stream)
    assert ask(client, max_tokens=60).choices[0].message.content == whole
    time.sleep(0.5)

    rest = [first, *stream]

    assert "".join(each.choices[0].delta.content or "" for each in rest) == whole


class Served:
    """``vlmforge serve`` as a process."""

    def __init__(self, package: Path, *options: str) -> None:
        command = [sys.executable, "-m", "vlmforge", "serve", str(package), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.line = self.process.stderr.readline()
        self.address = self.line.split()[-1]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def served(tiny_package: Path) -> Iterator[Served]:
    served = Served(tiny_package, "--threads", "1")
    yield served
    served.process.kill()
    served.process.wait()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_sigterm_lets_answers_end(served: Served) -> None:
    client = client_of(served.address)
    expected = ask(client, model="", max_tokens=300).choices[0].message.content
    stream = iter(ask(client, model="", max_tokens=300, stream=True))
    next(stream)
    threading.Timer(0.01, served.process.send_signal, [signal.SIGTERM]).start()

    text = "".join(each.choices[0].delta.content or "" for each in stream)

    assert text == expected and served.process.wait(30) == 0
    with pytest.raises(openai.APIConnectionError):
        ask(client, model="")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--api-key-file", "none"], "no such file"),
        (["--image-root", "none"], "no such directory"),
        (["--host", "192.0.2.1"], "cannot be listened at"),
        (["--max-length", "100000"], "max_length"),
    ],
)
def test_mistakes_show_before_anything_is_served(
    tiny_package: Path, options: list[str], said: str
) -> None:
    command = [sys.executable, "-m", "vlmforge", "serve", str(tiny_package), "--port", "0"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)

    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
