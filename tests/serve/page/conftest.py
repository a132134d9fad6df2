"""A real browser, and a server for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.fake_server import FakeServer, serving
from tests.serve.page.page import Page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
)

INSTALL = "apt-get install chromium chromium-driver; pip install selenium"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, driven by selenium, speaking English unless a test says otherwise."""
    browser, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and chromedriver):
        pytest.skip(f"the page is tested in chromium, which is not installed: {INSTALL}")
    webdriver = pytest.importorskip("selenium.webdriver", reason=f"selenium is missing: {INSTALL}")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS:
        options.add_argument(flag)
    profile: Path = tmp_path_factory.mktemp("chromium")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_experimental_option(
        "prefs", {"intl.accept_languages": "en-US", "download.default_directory": str(profile)}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(chromedriver, log_output=os.devnull)
    started = webdriver.Chrome(options=options, service=service)
    yield started
    started.quit()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that says what the test tells it; its port is new, and so the browser's storage."""
    with serving() as started:
        yield started


@pytest.fixture(scope="session")
def quiet_server() -> Iterator[FakeServer]:
    with serving() as started:
        yield started


@pytest.fixture
def modules(driver: Any, quiet_server: FakeServer) -> Page:
    """A page whose modules are tried by themselves; it is opened anew only after another."""
    opened = Page(driver, quiet_server.address)
    if not driver.current_url.startswith(f"{quiet_server.address}/"):
        opened.open()
    return opened


@pytest.fixture
def page(driver: Any, server: FakeServer) -> Iterator[Page]:
    """The page of that server, opened; at the end it must have broken no rule of its policy."""
    opened = Page(driver, server.address)
    opened.open()
    yield opened
    assert opened.violations() == []
    opened.leave()
