"""The sample's package: its session, and a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.serving.process import Server
from tests.clients.shown import PACKAGE
from vlmforge import Engine, Session


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("uvicorn", reason="make evaluation-tools installs it")
    with Server(PACKAGE) as server:
        yield server.address


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(Session.open(PACKAGE)) as found:
        yield found
