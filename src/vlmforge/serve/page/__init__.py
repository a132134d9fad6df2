"""The chat page that a server shows: plain files, and the headers that confine them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served, by the suffix of its name; nothing else in this folder is."""

POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
"""The page loads and asks its own server only, and no text can become markup or code in it."""

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(POLICY),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every file's response, besides its type."""


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
        route: the path it answers, ``"/"`` or ``"/page/NAME"``.
        media_type: its ``Content-Type``.
        content: its bytes.
    """

    route: str
    media_type: str
    content: bytes


def files() -> tuple[PageFile, ...]:
    """Every file of the page, by name."""
    folder = resources.files(__name__)
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return tuple(
        PageFile(_route(entry.name), MEDIA_TYPES[suffix], entry.read_bytes())
        for entry in entries
        if (suffix := _suffix(entry.name)) in MEDIA_TYPES
    )


def _route(name: str) -> str:
    return "/" if name == "index.html" else f"/page/{name}"


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
