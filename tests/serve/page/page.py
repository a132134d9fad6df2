"""The page as a user meets it, at any server's address."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

PATIENCE = 10  # seconds that anything may take on a busy machine

VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
window.onerror = (message) => window.violations.push(`error: ${message}`);
addEventListener("unhandledrejection", (event) =>
  window.violations.push(`rejection: ${event.reason}`));
"""


class Page:
    """Drives the page with a selenium driver.

    Args:
        driver: of Chromium.
        address: of the server, without a slash at its end.
    """

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address
        self._watch: dict[str, object] = {}

    def open(self) -> None:
        """Open the page, and wait until it is ready for a question."""
        self._watch = self.cdp("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/")
        self.until(lambda: self.text("#model"))

    def reload(self) -> None:
        self.driver.refresh()
        self.until(lambda: self.text("#model"))

    def leave(self) -> None:
        """Forget what was set for this page alone."""
        self.driver.get("about:blank")
        self.cdp("Page.removeScriptToEvaluateOnNewDocument", **self._watch)
        self.cdp("Emulation.setEmulatedMedia", features=[])
        self.driver.get_log("browser")

    def violations(self) -> list[str]:
        """What the policy forbade and errors nobody caught, since the page was loaded."""
        return list(self.run("return window.violations"))

    def run(self, script: str, *arguments: object) -> Any:
        """What a script of the page returns."""
        return self.driver.execute_script(script, *arguments)

    def module(self, name: str, expression: str, *arguments: object) -> Any:
        """What an expression gives that uses a module of the page, as ``module``."""
        script = (
            "const done = arguments[arguments.length - 1];"
            "const values = arguments[1];"
            "import(arguments[0]).then(async (module) => done({value: await (async () =>"
            f" ({expression}))() }}), (error) => done({{error: String(error)}}));"
        )
        found = self.driver.execute_async_script(script, f"/page/{name}", list(arguments))
        assert "error" not in found, found
        return found["value"]

    def cdp(self, command: str, **parameters: object) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def until(self, met: Callable[[], Value]) -> Value:
        """Wait for something true, and give it."""
        end = time.monotonic() + PATIENCE
        while not (value := met()):
            assert time.monotonic() < end, "the page did not come so far"
            time.sleep(0.03)
        return value

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.until(lambda: self.all(selector))[0]

    def text(self, selector: str) -> str:
        """The visible text of the last element that fits, empty if there is none."""
        script = "return [...document.querySelectorAll(arguments[0])].at(-1)?.innerText ?? ''"
        return str(self.run(script, selector))

    def click(self, selector: str) -> None:
        self.until(lambda: any(found.is_displayed() for found in self.all(selector)))
        next(found for found in self.all(selector) if found.is_displayed()).click()

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def write(self, text: str) -> None:
        self.one("#question").send_keys(text)

    def ask(self, text: str) -> None:
        """Write a question and send it."""
        self.write(text)
        self.click("#send")

    def answered(self, count: int = 1) -> str:
        """Wait until so many answers have ended, and give the last one's text."""
        ended = ".answer:not(.writing)"
        self.until(lambda: len(self.all(ended)) == count and not self.all(".writing"))
        return self.text(".answer .markdown")

    def choose(self, *paths: Path) -> None:
        """Choose files by the page's own field."""
        before = len(self.all("#tray li"))
        self.one("#files").send_keys("\n".join(map(str, paths)))
        self.until(lambda: len(self.all("#tray li")) == before + len(paths))

    def titles(self) -> list[str]:
        """Of the conversations, from the top."""
        buttons = "[...document.querySelectorAll('#conversations button')]"
        return list(self.run(f"return {buttons}.map((button) => button.title)"))

    def allow_clipboard(self) -> None:
        """Let the page read and write the system's clipboard."""
        allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.cdp("Browser.grantPermissions", origin=self.address, permissions=allowed)
