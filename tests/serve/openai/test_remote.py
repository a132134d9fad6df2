"""Remote: what is fetched from another server, here one on loopback with a certificate."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from tests.serve.openai.conftest import picture, url_of
from vlmforge.errors import ImageError
from vlmforge.serve.openai import remote as remote_module
from vlmforge.serve.openai.media import Media
from vlmforge.serve.openai.remote import Remote

PNG = __import__("base64").b64decode(url_of(picture("red", (30, 20))).partition(",")[2])
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name.startswith("moved"):
            self.send_response(302)
            self.send_header("Location", {"moved": "/red.png"}.get(name, name[5:]))
            self.end_headers()
        elif name == "slow":
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            for byte in PNG:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        elif name == "red.png":
            self._send("image/png", PNG)
        elif name == "page":
            self._send("text/html", b"<html></html>")
        elif name == "large":
            self._send("image/png", bytes(3_000_000))
        else:
            self.send_error(404)

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, ssl.SSLContext]]:
    """The address of a server, and what trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yield f"https://localhost:{server.server_port}", trusting
    server.shutdown()


@pytest.fixture
def fetch(
    elsewhere: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], bytes]:
    monkeypatch.setattr(remote_module, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(remote_module, "SECONDS", 1.0)
    remote = Remote(elsewhere[1], LOOPBACK)
    return lambda path: remote.fetch(elsewhere[0] + path, "image/")


def test_a_file_and_one_that_has_moved(fetch: Callable[[str], bytes]) -> None:
    assert fetch("/red.png") == fetch("/moved") == PNG


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/page", "no image"),
        ("/none", "says 404"),
        ("/large", "more than"),
        ("/slow", "more than 1 seconds|timed out"),
        ("/movedhttp://localhost/red.png", "https alone"),
        ("/movedhttps://169.254.169.254/latest", "public address"),
        ("/movedhttps://[::ffff:10.0.0.1]/", "public address"),
        ("/movedfile:///etc/passwd", "https alone"),
        ("/moved/moved/moved/moved/red.png", "too often"),
    ],
)
def test_what_is_not_fetched(fetch: Callable[[str], bytes], path: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        fetch(path)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "224.0.0.1",
        "100.64.0.1",
    ],
)
def test_private_addresses_are_not_asked(host: str) -> None:
    with pytest.raises(ImageError, match=r"public address|cannot be fetched"):
        Media(remote=Remote()).image(f"https://{host}/a.png")


def test_a_certificate_that_nobody_trusts(elsewhere: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(ImageError, match=r"(?i)certificate"):
        Remote(allowed=LOOPBACK).fetch(f"{elsewhere[0]}/red.png", "image/")
