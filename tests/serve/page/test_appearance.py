"""Languages, light and dark, and narrow screens."""

from __future__ import annotations

import pytest

from tests.serve.page.fake_server import FakeServer
from tests.serve.page.page import Page

CONTRAST = """
const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const rgb = (name) => {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  canvas.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
};
const luminance = (name) => {
  const [red, green, blue] = [...rgb(name)].map((value) => linear(value / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const [low, high] = [...arguments].map(luminance).sort((one, other) => one - other);
return (high + 0.05) / (low + 0.05);
"""

TEXTS = [
    *(
        (text, ground)
        for text in ("ink", "muted")
        for ground in ("ground", "surface", "side", "tint", "hover")
    ),
    ("accent", "ground"),
    ("accent", "surface"),
    ("on-accent", "accent"),
    ("grave", "grave-tint"),
    ("grave", "surface"),
    ("ground", "ink"),
]


def choose(page: Page, name: str, value: str) -> None:
    """Choose a setting and save it."""
    page.click("#settings")
    page.one(f"#settings-dialog [name={name}] [value={value}]").click()
    page.click("#settings-dialog [value=save]")


def prefer(page: Page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.cdp("Emulation.setEmulatedMedia", features=features)


def ground(page: Page) -> str:
    return str(page.run("return getComputedStyle(document.body).backgroundColor"))


def test_the_language_is_switched(page: Page, server: FakeServer) -> None:
    page.ask("How many?")
    page.answered()
    assert page.text("#new span") == "New conversation"
    choose(page, "language", "ko")
    page.until(lambda: page.text("#new span") == "새 대화")
    assert page.run("return document.documentElement.lang") == "ko"
    assert page.one("#question").get_attribute("placeholder").startswith("질문을")
    assert page.all("[aria-label='다시 답하기']")
    assert page.one("#send").get_attribute("aria-label") == "보내기"
    page.reload()
    assert page.text("#new span") == "새 대화"
    choose(page, "language", "en")
    page.until(lambda: page.text("#new span") == "New conversation")


def test_the_browsers_language_is_spoken(page: Page) -> None:
    override = {"userAgent": page.run("return navigator.userAgent"), "acceptLanguage": "ko-KR,en"}
    page.cdp("Emulation.setUserAgentOverride", **override)
    page.reload()
    assert page.text(".welcome h2") == "무엇이 궁금하신가요?"
    page.cdp("Emulation.setUserAgentOverride", **{**override, "acceptLanguage": "fr-FR"})
    page.reload()
    assert page.text(".welcome h2") == "What would you like to know?"
    page.cdp("Emulation.setUserAgentOverride", **{**override, "acceptLanguage": "en-US"})


def test_light_and_dark_follow_the_system_until_one_is_chosen(page: Page) -> None:
    prefer(page, "light")
    light = ground(page)
    prefer(page, "dark")
    dark = ground(page)
    assert light == "rgb(253, 252, 250)" and dark != light
    choose(page, "theme", "light")
    page.until(lambda: ground(page) == light)
    page.reload()
    assert ground(page) == light
    choose(page, "theme", "dark")
    prefer(page, "light")
    page.until(lambda: ground(page) == dark)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_the_contrast_of_wcag_aa(scheme: str, page: Page) -> None:
    prefer(page, scheme)
    for text, behind in TEXTS:
        assert page.run(CONTRAST, text, behind) >= 4.5, f"--{text} on --{behind}"
    assert page.run(CONTRAST, "outline", "ground") >= 3


def test_motion_is_reduced(page: Page) -> None:
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.cdp("Emulation.setEmulatedMedia", features=features)
    page.ask("How many?")
    page.answered()
    moving = "[...document.querySelectorAll('*')].filter((each) => each.getAnimations().length)"
    assert page.run(f"return {moving}.length") == 0


@pytest.fixture
def phone(page: Page) -> Page:
    """The page on a screen as wide as a phone's."""
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": False}
    page.cdp("Emulation.setDeviceMetricsOverride", **screen)
    return page


@pytest.fixture(autouse=True)
def wide(page: Page) -> object:
    yield
    page.cdp("Emulation.clearDeviceMetricsOverride")


def test_a_phone_shows_all_of_it(phone: Page, server: FakeServer) -> None:
    row = "| " + " | ".join(["unbreakable" * 3] * 6) + " |"
    rule = "|" + "---|" * 6
    server.says(f"{'longword' * 30}\n\n{row}\n{rule}\n{row}\n\n```\n{'code ' * 60}\n```")
    phone.ask("How many?")
    phone.answered()
    assert phone.run("return document.documentElement.scrollWidth") == 360
    assert phone.run(
        "const n = document.getElementById('thread'); return n.scrollWidth <= n.clientWidth"
    )


def test_on_a_phone_the_list_is_a_drawer(phone: Page) -> None:
    phone.ask("How many?")
    phone.answered()
    assert phone.run("return document.getElementById('sidebar').inert")
    phone.click("#menu")
    phone.until(lambda: phone.run("return document.activeElement.id") == "close-menu")
    phone.press("\ue00c")
    assert phone.run("return document.getElementById('sidebar').inert")
    assert phone.run("return document.activeElement.id") == "menu"
    phone.click("#menu")
    phone.click("#new")
    phone.until(lambda: phone.all(".welcome"))
    assert phone.run("return document.getElementById('sidebar').inert")
