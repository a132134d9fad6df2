"""Media: what URLs of requests may stand for."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import openai
import pytest
from openai import OpenAI
from PIL import Image

from tests.serve.openai.conftest import picture, url_of
from tests.serve.openai.test_chat import ask
from vlmforge.errors import ImageError
from vlmforge.serve.openai.media import LOW, Media


def data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_images_in_data_urls(form: str) -> None:
    found = Media().image(url_of(picture("red", (30, 20)), form))

    assert found.size == (30, 20) and found.mode == "RGB"


def test_low_detail_keeps_the_shape() -> None:
    found = Media().image(url_of(picture("red", (1200, 600))), "low")

    assert found.size == (LOW[0], LOW[0] // 2)
    assert Media().image(url_of(picture("red", (60, 30))), "low").size == (60, 30)


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,####",
        "data:image/png,abc",
        "data:image/png;base64",
        data("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        data("image/png", b"<html><script>alert(1)</script></html>"),
        data("image/png", b""),
        data("image/png", bomb()),
        "http://example.com/a.png",
        "https://example.com/a.png",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "../secret.txt",
        "gopher://example.com",
        "ftp://example.com/a.png",
        "\0",
        "",
    ],
)
def test_what_is_no_image_or_elsewhere_is_refused(client: OpenAI, url: str) -> None:
    with pytest.raises(ImageError):
        Media().image(url)
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, [{"role": "user", "content": [part]}])
    assert caught.value.code == "invalid_image" and "secret" not in str(caught.value)


def test_files_below_the_root_alone(image_root: Path) -> None:
    media = Media(image_root)

    assert media.image("red.png").size == media.image(f"file://{image_root}/red.png").size
    for outside in ("../secret.txt", f"file://{image_root.parent}/secret.txt", "no.png"):
        with pytest.raises(ImageError, match="no such file below the image root"):
            media.image(outside)


def film(frames: int) -> bytes:
    """A short MP4 of noise."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height = 64, 48
        for seed in range(frames):
            pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_image(Image.fromarray(pixels))))
        container.mux(stream.encode())
    return file.getvalue()


def test_a_video_in_a_data_url(client: OpenAI) -> None:
    part = {"type": "video_url", "video_url": {"url": data("video/mp4", film(8))}}
    found = ask(client, [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}])

    assert found.usage.prompt_tokens > 20
    broken = {"type": "video_url", "video_url": {"url": data("video/mp4", film(8)[:200])}}
    with pytest.raises(openai.BadRequestError, match="video"):
        ask(client, [{"role": "user", "content": [broken]}])
