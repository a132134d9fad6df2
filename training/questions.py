"""Questions about a scene, with the one right answer to each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlmforge.calibrate.scenes import COLORS, GRID, OUTLINES, Item

ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
NUMBERS = ("zero", "one", "two", "three", "four")


@dataclass(frozen=True)
class Question:
    """A question about a scene, its answer, and its kind (a key of `KINDS`)."""

    text: str
    answer: str
    kind: str


Items = tuple[Item, ...]
Draft = tuple[str, str] | None
"""Wording and answer, or nothing where a scene allows no question of the kind."""


def place(row: int, column: int) -> str:
    """Return the name of a layout cell, such as "top left"."""
    return f"{ROWS[row]} {COLUMNS[column]}"


def phrase(item: Item) -> str:
    """Return what an item is, such as "a large red circle"."""
    return f"a {item.size} {item.color} {item.shape}"


def _color(items: Items, rng: random.Random) -> Draft:
    if not (item := _unique(items, rng, "shape")):
        return None
    wording = rng.choice(("What color is the {}?", "Which color does the {} have?"))
    return wording.format(item.shape), item.color


def _shape(items: Items, rng: random.Random) -> Draft:
    if not (item := _unique(items, rng, "color")):
        return None
    wording = rng.choice(("What shape is the {} object?", "Which shape is {}?"))
    return wording.format(item.color), item.shape


def _size(items: Items, rng: random.Random) -> Draft:
    if not (item := _unique(items, rng, "color", "shape")):
        return None
    wording = rng.choice(("How big is the {}?", "What size is the {}?"))
    return wording.format(f"{item.color} {item.shape}"), item.size


def _position(items: Items, rng: random.Random) -> Draft:
    if not (item := _unique(items, rng, "color", "shape")):
        return None
    wording = rng.choice(("Where is the {}?", "In which part of the image is the {}?"))
    return wording.format(f"{item.color} {item.shape}"), place(item.row, item.column)


def _item(items: Items, rng: random.Random) -> Draft:
    cells = {(item.row, item.column): phrase(item) for item in items}
    cell = rng.choice(list(cells))
    if rng.random() < 0.2:
        cell = (rng.randrange(GRID), rng.randrange(GRID))
    wording = rng.choice(("What is at the {}?", "Which object is at the {}?"))
    return wording.format(place(*cell)), cells.get(cell, "nothing")


def _count(items: Items, rng: random.Random) -> Draft:
    name, number = "shapes", len(items)
    if rng.random() < 0.5:
        shape = rng.choice([*OUTLINES, *(item.shape for item in items)])
        name = "crosses" if shape == "cross" else f"{shape}s"
        number = sum(item.shape == shape for item in items)
    wording = rng.choice(("How many {} are there?", "Count the {}."))
    return wording.format(name), NUMBERS[number]


def _presence(items: Items, rng: random.Random) -> Draft:
    asked = _asked(items, rng, present=rng.random() < 0.5)
    if not asked:
        return None
    wording = rng.choice(("Is there a {}?", "Do you see a {}?"))
    present = any(f"{item.color} {item.shape}".endswith(asked) for item in items)
    return wording.format(asked), "yes" if present else "no"


def _asked(items: Items, rng: random.Random, present: bool) -> str | None:
    """Return "circle" or "red circle" that is on the scene, or is not: half of them nearly."""
    short = rng.random() < 0.3
    item = rng.choice(items)
    if present:
        return item.shape if short else f"{item.color} {item.shape}"
    shown = {item.shape for item in items} if short else {(i.color, i.shape) for i in items}
    if short:
        return rng.choice([shape for shape in OUTLINES if shape not in shown] or [None])
    near = [(item.color, s) for s in OUTLINES] + [(c, item.shape) for c in COLORS]
    far = [(color, shape) for color in COLORS for shape in OUTLINES]
    pairs = [pair for pair in rng.choice((near, far)) if pair not in shown]
    return " ".join(rng.choice(pairs))


def _description(items: Items, rng: random.Random) -> Draft:
    *first, last = map(phrase, items)
    listed = f"{', '.join(first)} and {last}" if first else last
    return rng.choice(DESCRIBE), f"The image shows {listed}."


DESCRIBE = (
    "Describe this image.",
    "Describe the image.",
    "What do you see?",
    "What is in this image?",
    "What is in this picture?",
    "What does the image show?",
    "Describe the picture in one sentence.",
    "Describe the scene.",
)

KINDS: dict[str, Callable[[Items, random.Random], Draft]] = {
    "color": _color,
    "shape": _shape,
    "size": _size,
    "position": _position,
    "item": _item,
    "count": _count,
    "presence": _presence,
    "description": _description,
}


def ask(items: Items, kind: str, rng: random.Random) -> Question | None:
    """Return a question of `kind` about `items`, or None where none has one right answer."""
    draft = KINDS[kind](items, rng)
    if draft is None:
        return None
    text, answer = draft
    answer = answer if answer.endswith(".") else f"{answer.capitalize()}."
    return Question(text, answer, kind)


def ask_many(items: Items, count: int, rng: random.Random) -> list[Question]:
    """Return `count` questions about `items`, their kinds drawn evenly."""
    return ask_several([items], count, rng)


ORDINALS = ("first", "second", "third")


def ask_one_of(scenes: list[Items], kind: str, rng: random.Random) -> Question | None:
    """Return a question of `kind`, or of "image", about one of several scenes, or None.

    Of several it says which one it is about; of kind "image", it asks which.
    """
    if len(scenes) == 1:
        return ask(scenes[0], kind, rng)
    if kind == "image":
        return _image(scenes, rng)
    number = rng.randrange(len(scenes))
    question = ask(scenes[number], kind, rng)
    if question is None:
        return None
    text = f"In the {ORDINALS[number]} image, {question.text[0].lower()}{question.text[1:]}"
    return Question(text, question.answer, kind)


def ask_several(
    scenes: list[Items], count: int, rng: random.Random, further: Sequence[str] = ("image",)
) -> list[Question]:
    """Return `count` questions about one scene or several, their kinds drawn evenly.

    About several they are drawn from `further` kinds too, which may name one more than once.
    """
    kinds = [*KINDS] if len(scenes) == 1 else [*KINDS, *further]
    asked: list[Question] = []
    while len(asked) < count:
        question = ask_one_of(scenes, rng.choice(kinds), rng)
        if question is not None:
            asked.append(question)
    return asked


def _image(scenes: list[Items], rng: random.Random) -> Question | None:
    """Ask which of several scenes alone shows something."""
    shown = [{f"{item.color} {item.shape}" for item in scene} for scene in scenes]
    counts = Counter(name for names in shown for name in names)
    number = rng.randrange(len(scenes))
    single = sorted(name for name in shown[number] if counts[name] == 1)
    if not single:
        return None
    wording = rng.choice(("Which image shows a {}?", "In which image is the {}?"))
    return Question(wording.format(rng.choice(single)), f"The {ORDINALS[number]}.", "image")


def _unique(items: Items, rng: random.Random, *names: str) -> Item | None:
    """Return an item whose `names` no other item of the scene shares."""
    keys = [tuple(getattr(item, name) for name in names) for item in items]
    counts = Counter(keys)
    single = [item for item, key in zip(items, keys, strict=True) if counts[key] == 1]
    return rng.choice(single) if single else None
