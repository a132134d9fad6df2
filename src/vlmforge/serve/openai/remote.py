"""Remote: files of other servers, fetched for a request without serving it as a way in."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import urljoin, urlsplit

from vlmforge.errors import ImageError

MOST_BYTES = 1 << 25
"""Of a file."""

SECONDS = 10.0
"""Until a file must have come, redirections included."""

MOST_REDIRECTIONS = 3

MOVED = (301, 302, 303, 307, 308)

MEND = "send a data URL: data:image/png;base64,..."


class Remote:
    """Fetches by HTTPS from public addresses.

    Addresses are looked up once and connected to as they were checked, so that a name cannot point
    elsewhere in between; each redirection is checked anew.

    Args:
        context: what certificates are checked by; the system's by default.
        allowed: further networks that are fetched from, such as one of the server's own.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        allowed: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = (),
    ) -> None:
        self._context = context or ssl.create_default_context()
        self._allowed = allowed

    def fetch(self, url: str, kind: str) -> bytes:
        """The bytes of a URL.

        Args:
            url: begins with ``https://``.
            kind: how its media type must begin, such as ``image/``.

        Raises:
            ImageError: it is elsewhere than allowed, too large, too slow, of another kind, or not
                there.
        """
        end = time.monotonic() + SECONDS
        try:
            for _ in range(MOST_REDIRECTIONS + 1):
                found = self._get(url, kind, end)
                if isinstance(found, bytes):
                    return found
                url = urljoin(url, found)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ImageError(f"a remote file cannot be fetched: {error}", mend=MEND) from error
        raise ImageError("a remote file has moved too often", mend=MEND)

    def _get(self, url: str, kind: str, end: float) -> bytes | str:
        """The bytes of a URL, or where it has moved to."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ImageError("remote files are fetched by https alone", mend=MEND)
        connection = _Pinned(parts.hostname, parts.port or 443, self._context, end)
        connection.address = self._address(parts.hostname, parts.port or 443)
        try:
            path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("GET", path, headers={"Accept": f"{kind}*"})
            secured = connection.sock
            answer = connection.getresponse()
            if answer.status in MOVED:
                return answer.getheader("Location", "")
            _require(answer.status == 200, f"a remote server says {answer.status}")
            media = answer.getheader("Content-Type", "").lower()
            _require(media.startswith(kind), f"a remote file is no {kind}*, but {media[:50]!r}")
            return _body(answer, secured, end)
        finally:
            connection.close()

    def _address(self, host: str, port: int) -> str:
        """An address of a host, all of whose addresses may be fetched from."""
        found = {
            str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        }
        if not all(self._is_allowed(ipaddress.ip_address(address)) for address in found):
            raise ImageError("a remote file is not at a public address", mend=MEND)
        return sorted(found)[0]

    def _is_allowed(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or address
        public = address.is_global and not address.is_multicast
        return public or any(address in network for network in self._allowed)


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address, which shows the certificate of a host."""

    address = ""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, end: float) -> None:
        super().__init__(host, port, context=context, timeout=_left(end))
        self._own_context = context

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self._own_context.wrap_socket(plain, server_hostname=self.host)


def _body(answer: http.client.HTTPResponse, sock: socket.socket, end: float) -> bytes:
    chunks, size = [], 0
    while chunk := answer.read1(1 << 16):
        chunks.append(chunk)
        size += len(chunk)
        _require(size <= MOST_BYTES, f"a remote file has more than {MOST_BYTES >> 20} MB")
        sock.settimeout(_left(end))
    return b"".join(chunks)


def _left(end: float) -> float:
    left = end - time.monotonic()
    _require(left > 0, f"a remote file takes more than {SECONDS:.0f} seconds")
    return left


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ImageError(what, mend=MEND)
