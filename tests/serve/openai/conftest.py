"""A server of the tiny package, in a thread, as clients meet it."""

from __future__ import annotations

import base64
import io
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from openai import OpenAI
from PIL import Image

from vlmforge.run.session import Session
from vlmforge.serve.openai.app import application
from vlmforge.serve.openai.server import Serving

TOOLS = (
    "{% for tool in tools or [] %}{{ tool.function.name }} {{ tool.type }}\n{% endfor %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n"
    "{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}\n"
    "</tool_call>{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
"""A chat template with a place for tools, which marks calls as Qwen's do."""


@contextmanager
def running(session: Session, serving: Serving) -> Iterator[str]:
    """A server; its address."""
    app = application(serving.service(session), serving.guard)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def client_of(address: str, key: str = "none") -> OpenAI:
    return OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def address(dynamic_session: Session, image_root: Path) -> Iterator[str]:
    serving = Serving(model="tiny", max_running=4, image_root=image_root)
    with running(dynamic_session, serving) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> OpenAI:
    return client_of(address)


@pytest.fixture(scope="module")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    picture("red").save(root / "red.png")
    (root.parent / "secret.txt").write_text("secret")
    return root


@pytest.fixture(scope="module")
def calling(
    dynamic_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OpenAI, Session]]:
    """A client of a server whose template takes tools, and its session."""
    package = tmp_path_factory.mktemp("calling") / "package"
    shutil.copytree(dynamic_package, package)
    (package / "chat_template.jinja").write_text(TOOLS)
    session = Session.open(package)
    with running(session, Serving(model="tiny")) as found:
        yield client_of(found), session


def url_of(image: Image.Image, form: str = "PNG") -> str:
    data = io.BytesIO()
    image.save(data, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def picture(color: str, size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.new("RGB", size, color)
