"""Given answers: a file of questions about images, and what answers them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from vlmforge.errors import CalibrationError, ImageError
from vlmforge.images.pictures import Pictures
from vlmforge.images.reading import read_image
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import load_tokenizer

KEYS = ("image", "question", "answer")
TOLD = 5
"""Problems that are named; the others are counted."""

MEND = 'write lines as {"image": FILE, "question": TEXT, "answer": TEXT}'
FOUND = "name existing images, relative to the folder of this file"
PLAIN = "write what people write, without the tokens that frame a chat"


@dataclass(frozen=True)
class Given:
    """One line of a file of answers.

    Attributes:
        line: its number, from 1.
        image: path of the image.
        question, answer: texts.
    """

    line: int
    image: Path
    question: str
    answer: str


def read_given(path: Path | str) -> list[Given]:
    """The lines of a file; empty ones are left out.

    Raises:
        CalibrationError: the file cannot be read or holds nothing, or lines are malformed (each
            is named).
    """
    path = Path(path)
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(
            f"the answers cannot be read: {getattr(error, 'strerror', None) or error}",
            where=path,
            mend="name a file of UTF-8 text, a line of JSON for each question",
        ) from error
    given, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                given.append(_parsed(number, line, path.parent))
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number}: {error}")
    if not given and not problems:
        problems = ["there are no answers"]
    _refuse(path, problems, MEND)
    return given


def chosen(given: Sequence[Given], count: int | None, seed: int) -> list[Given]:
    """At most ``count`` lines, chosen at random where there are more, in their order."""
    if count is None or len(given) <= count:
        return list(given)
    kept = random.Random(seed).sample(range(len(given)), count)
    return [given[index] for index in sorted(kept)]


def require_given(
    checkpoint: Checkpoint, pictures: Pictures, path: Path | str, max_new_tokens: int
) -> None:
    """Check, before any work, that a model can be shown every line of a file of answers.

    Raises:
        CalibrationError: as :func:`read_given`; images cannot be read, texts hold special tokens,
            or answers are too long (each line is named).
    """
    given, tokenizer = read_given(path), load_tokenizer(checkpoint.path).backend_tokenizer
    shown = {each.line: _tokens(each, pictures) for each in given}
    unseen = [f"line {line}: {tokens}" for line, tokens in shown.items() if isinstance(tokens, str)]
    _refuse(Path(path), unseen, FOUND)
    special = [f"line {each.line}: {what}" for each in given for what in _special(each, tokenizer)]
    _refuse(Path(path), special, PLAIN)
    for each in given:
        tokens = shown[each.line]
        assert not isinstance(tokens, str)
        _require_short(checkpoint, tokenizer, each, tokens, max_new_tokens, Path(path))


def answer_tokens(tokenizer: Tokenizer, answer: str, stop: Sequence[int]) -> list[int]:
    """The token ids of an answer, with the token that ends it, if the model has one."""
    ids: list[int] = tokenizer.encode(answer, add_special_tokens=False).ids
    return [*ids, *stop[:1]]


def _parsed(number: int, line: str, folder: Path) -> Given:
    """The fields of a line; raises ValueError."""
    record: Any = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    for key in KEYS:
        value = record.get(key)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{key!r} is missing, empty or not a text")
    return Given(number, folder / record["image"], record["question"], record["answer"])


def _tokens(given: Given, pictures: Pictures) -> int | str:
    """How many tokens an image has, or why it cannot be seen."""
    try:
        image = read_image(given.image)
        return pictures.grid(image.height, image.width).tokens
    except ImageError as error:
        return f"{given.image.name}: {error.what}"


def _special(given: Given, tokenizer: Tokenizer) -> Iterator[str]:
    """What of a line would be read as structure."""
    added = tokenizer.get_added_tokens_decoder().values()
    for key, text in (("question", given.question), ("answer", given.answer)):
        for token in added:
            if token.special and token.content in text:
                yield f"the {key} holds the special token {token.content}"


def _require_short(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    given: Given,
    shown: int,
    max_new_tokens: int,
    path: Path,
) -> None:
    answer = len(answer_tokens(tokenizer, given.answer, ())) + 1
    if answer > max_new_tokens:
        raise CalibrationError(
            f"line {given.line}: the answer has {answer} tokens, and {max_new_tokens} are allowed",
            where=path,
            mend=f"shorten it, or give --max-new-tokens {answer}",
        )
    whole = shown + len(answer_tokens(tokenizer, given.question, ())) + answer
    context, limit = checkpoint.context
    if whole >= context:
        reason = f", as {limit} says" if limit else ""
        raise CalibrationError(
            f"line {given.line}: image, question and answer have {whole} tokens, and the model is "
            f"compiled for {context}{reason}",
            where=path,
            mend="shorten the texts, or make the image smaller",
        )


def _refuse(path: Path, problems: Sequence[str], mend: str) -> None:
    if not problems:
        return
    more = len(problems) - TOLD
    told = "; ".join(problems[:TOLD]) + (f"; and {more} more" if more > 0 else "")
    raise CalibrationError(told, where=path, mend=mend)
