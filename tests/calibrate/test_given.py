"""A file of answers is looked at line by line, before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from vlmforge.calibrate.given import Given, chosen, read_given, require_given
from vlmforge.errors import CalibrationError
from vlmforge.images.layout import DYNAMIC
from vlmforge.images.pictures import Pictures
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for

LINE = {"image": "photos/a.png", "question": "What is it?", "answer": "A circle."}


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(str(tiny_checkpoint))


@pytest.fixture
def pictures(checkpoint: Checkpoint) -> Pictures:
    return pictures_for(checkpoint, DYNAMIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (80, 60), "red").save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"broken")
    return tmp_path


def write(folder: Path, *lines: object) -> Path:
    """A file of lines, each as it is if it is a text."""
    file = folder / "answers.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts) + "\n", "utf-8")
    return file


def test_lines(folder: Path) -> None:
    file = write(folder, LINE, "", {**LINE, "answer": "Ein Kreis\u2028."})
    first, second = read_given(file)
    assert first == Given(1, folder / "photos" / "a.png", "What is it?", "A circle.")
    assert (second.line, second.answer) == (3, "Ein Kreis\u2028.")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: Expecting"),
        ("[" * 100_000, "line 2: "),
        ([1], "line 2: not a JSON object"),
        ({**LINE, "answer": " \n"}, "line 2: 'answer' is missing, empty"),
        ({**LINE, "question": ""}, "line 2: 'question' is missing, empty"),
        ({**LINE, "image": 3}, "line 2: 'image' is missing, empty or not a text"),
    ],
)
def test_malformed_lines_are_named(folder: Path, line: object, told: str) -> None:
    with pytest.raises(CalibrationError, match=f"{told}(.|\n)*answers.jsonl(.|\n)*write lines as"):
        read_given(write(folder, LINE, line))


def test_some_problems_are_named_and_all_are_counted(folder: Path) -> None:
    with pytest.raises(CalibrationError, match=r"line 5: .*; and 3 more"):
        read_given(write(folder, *["{"] * 8))


def test_files_without_answers(folder: Path) -> None:
    with pytest.raises(CalibrationError, match="there are no answers"):
        read_given(write(folder, "", " "))
    with pytest.raises(CalibrationError, match="cannot be read: No such file"):
        read_given(folder / "none.jsonl")
    (folder / "latin.jsonl").write_bytes(b'{"image": "\xe9"}')
    with pytest.raises(CalibrationError, match=r"cannot be read: .*utf-8"):
        read_given(folder / "latin.jsonl")


def test_a_choice_keeps_the_order() -> None:
    given = [Given(line, Path("a.png"), "?", "!") for line in range(1, 31)]
    some = chosen(given, 10, seed=0)
    assert len(some) == 10 and some == sorted(some, key=lambda each: each.line)
    assert some == chosen(given, 10, seed=0) != chosen(given, 10, seed=1)
    assert chosen(given, 40, 0) == chosen(given, None, 0) == given


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": "photos/b.png"}, "line 2: b.png: (.|\n)*name existing images, relative"),
        ({"image": "photos/broken.png"}, "line 2: broken.png: "),
        ({"answer": "It.<|im_end|>"}, r"line 2: the answer holds the special token <\|im_end\|>"),
        ({"question": "<|image_pad|>?"}, "line 2: the question holds the special token"),
        ({"answer": "word " * 60}, "line 2: the answer has .* 50 are allowed(.|\n)*--max-new-tok"),
    ],
)
def test_what_cannot_be_shown_is_named(
    checkpoint: Checkpoint, pictures: Pictures, folder: Path, change: dict[str, str], told: str
) -> None:
    require_given(checkpoint, pictures, write(folder, LINE), 50)
    with pytest.raises(CalibrationError, match=told):
        require_given(checkpoint, pictures, write(folder, LINE, {**LINE, **change}), 50)


def test_what_is_longer_than_the_model_reads(
    checkpoint: Checkpoint, pictures: Pictures, folder: Path
) -> None:
    context, _ = checkpoint.context
    file = write(folder, {**LINE, "question": "x " * context})
    with pytest.raises(CalibrationError, match=f"line 1: .*compiled for {context}"):
        require_given(checkpoint, pictures, file, 50)
