"""Pictures and videos go with a question."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serve.page.fake_server import FakeServer
from tests.serve.page.page import Page

PASTE = """
const [name, encoded, kind] = arguments;
const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, {type: "image/png"}));
const field = document.getElementById("question");
const options = {bubbles: true, cancelable: true};
if (kind === "paste") {
  field.dispatchEvent(new ClipboardEvent("paste", {...options, clipboardData: transfer}));
} else {
  for (const type of ["dragover", "drop"]) {
    field.dispatchEvent(new DragEvent(type, {...options, dataTransfer: transfer}));
  }
}
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "red circle.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return path


def sent(server: FakeServer) -> list[dict[str, Any]]:
    """The parts of the last question."""
    return list(server.requests[-1]["messages"][-1]["content"])


def content(part: dict[str, Any]) -> bytes:
    """The bytes of an image or a video."""
    url = part[part["type"]]["url"]
    return base64.b64decode(url.partition(";base64,")[2])


def test_a_chosen_picture_is_sent_as_it_is(page: Page, server: FakeServer, picture: Path) -> None:
    page.choose(picture)
    page.ask("Which color?")
    page.answered()
    image, text = sent(server)
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert content(image) == picture.read_bytes()
    assert text == {"type": "text", "text": "Which color?"}
    assert page.one(".question img").get_attribute("alt") == picture.name
    page.until(
        lambda: page.run("return document.querySelector('.question img').naturalWidth") == 60
    )
    assert not page.all("#tray li")


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(
    kind: str, page: Page, server: FakeServer, picture: Path
) -> None:
    page.run(PASTE, "pasted.png", base64.b64encode(picture.read_bytes()).decode(), kind)
    page.until(lambda: page.all("#tray img"))
    page.press("\ue007")
    page.answered()
    (image,) = sent(server)
    assert content(image) == picture.read_bytes()
    assert page.titles() == ["pasted.png"]
    assert not page.one("#drop").is_displayed()


def test_the_clipboard_of_the_system_is_pasted(
    page: Page, server: FakeServer, picture: Path
) -> None:
    page.allow_clipboard()
    page.run(COPY, base64.b64encode(picture.read_bytes()).decode())
    page.until(lambda: page.run("return window.copied"))
    page.one("#question").click()
    page.cdp("Input.dispatchKeyEvent", type="keyDown", key="v", modifiers=2, commands=["paste"])
    page.until(lambda: page.all("#tray img"))
    page.ask("Which color?")
    page.answered()
    pasted = Image.open(io.BytesIO(content(sent(server)[0]))).convert("RGB")
    assert pasted.size == (60, 40) and pasted.getpixel((30, 20)) == (255, 0, 0)


COPY = """
const bytes = Uint8Array.from(atob(arguments[0]), (character) => character.charCodeAt(0));
const item = new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})});
navigator.clipboard.write([item]).then(() => { window.copied = true; });
"""


def test_pictures_are_removed_before_they_are_sent(
    page: Page, server: FakeServer, picture: Path, tmp_path: Path
) -> None:
    second = tmp_path / "blue.png"
    Image.new("RGB", (40, 40), "blue").save(second)
    page.choose(picture, second)
    page.click("[aria-label='Remove red circle.png']")
    assert [image.get_attribute("alt") for image in page.all("#tray img")] == ["blue.png"]
    page.ask("Which color?")
    page.answered()
    assert content(sent(server)[0]) == second.read_bytes()


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "jpeg"), ("png", "png")])
def test_a_large_picture_is_scaled_down(
    suffix: str, kind: str, page: Page, server: FakeServer, tmp_path: Path
) -> None:
    large = tmp_path / f"large.{suffix}"
    Image.new("RGB", (4096, 1024), "green").save(large)
    page.choose(large)
    page.ask("Which color?")
    page.answered()
    url = sent(server)[0]["image_url"]["url"]
    assert url.startswith(f"data:image/{kind};base64,")
    assert Image.open(io.BytesIO(content(sent(server)[0]))).size == (2048, 512)


def test_a_picture_of_an_unusual_type_is_written_anew(
    page: Page, server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "old.bmp"
    Image.new("RGB", (30, 20), "green").save(path)
    page.choose(path)
    page.ask("Which color?")
    page.answered()
    made = Image.open(io.BytesIO(content(sent(server)[0])))
    assert made.format == "PNG" and made.size == (30, 20)


def test_a_video_is_sent(page: Page, server: FakeServer, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"frames of a video")
    page.choose(video)
    assert page.text("#tray .video") == "clip.mp4"
    page.ask("What happens?")
    page.answered()
    part = sent(server)[0]
    assert part["type"] == "video_url" and content(part) == video.read_bytes()
    assert part["video_url"]["url"].startswith("data:video/mp4;base64,")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("notes.txt", "notes.txt is neither a picture nor a video."),
        ("broken.png", "broken.png is not a picture that this browser can read."),
    ],
)
def test_other_files_are_refused_by_name(name: str, told: str, page: Page, tmp_path: Path) -> None:
    (tmp_path / name).write_text("<b>text</b>")
    page.one("#files").send_keys(str(tmp_path / name))
    page.until(lambda: page.text("#notices") == told)
    assert not page.all("#tray li") and not page.one("#send").is_enabled()


def test_a_video_that_is_too_large_is_refused_by_name(page: Page, tmp_path: Path) -> None:
    with (tmp_path / "long.mp4").open("wb") as file:
        file.truncate((40 << 20) + 1)
    page.one("#files").send_keys(str(tmp_path / "long.mp4"))
    page.until(lambda: page.text("#notices") == "long.mp4 is larger than 40 MB.")
    assert not page.all("#tray li")


def test_pictures_stay_when_a_question_is_edited(
    page: Page, server: FakeServer, picture: Path
) -> None:
    page.choose(picture)
    page.ask("Which color?")
    page.answered()
    page.click("[aria-label=Edit]")
    assert len(page.all("#tray img")) == 1
    page.write(" Tell me.")
    page.click("#send")
    page.until(lambda: len(server.requests) == 2)
    page.answered(1)
    image, text = sent(server)
    assert content(image) == picture.read_bytes()
    assert text["text"] == "Which color? Tell me."
