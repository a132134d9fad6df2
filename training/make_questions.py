"""Write questions about scenes no training saw: `python -m training.make_questions DIR -n 400`.

The folder gets `images/*.png` and `questions.jsonl`, whose lines hold "image" (a path relative
to the file), "question", "answer" and "kind". The kinds take turns. With `--mixed` pictures have
many sizes and shapes, and lines about several have "images", a list of paths. With `--even` each
is about one picture, and every bucket of sizes and shapes of `vlmforge eval` has as many.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle, product
from pathlib import Path

from training.canvas import Canvas, draw_canvas
from training.questions import KINDS, Question, ask, ask_one_of
from training.shown import EVEN
from vlmforge.calibrate.scenes import scene_items
from vlmforge.evaluation.sizes import bucket
from vlmforge.images.grid import Grid

FIRST_SEED = 950_000_000
SEEDS_PER_SET = 1_000_000

BUCKETS = (
    "17 to 64 tokens, square",
    "65 to 256 tokens, square",
    "65 to 256 tokens, tall",
    "65 to 256 tokens, wide",
)
"""Those that pictures of `draw_canvas` can be of."""


@dataclass(frozen=True)
class Posed:
    """A question about scenes from the seed `first` on, each on its canvas."""

    first: int
    canvases: tuple[Canvas, ...]
    question: Question


def asked(number: int, seed: int) -> Iterator[Posed]:
    """Yield `number` questions, each about a square scene of its own, from the set `seed`."""
    scenes = count(FIRST_SEED + SEEDS_PER_SET * seed)
    for _, kind in zip(range(number), cycle(KINDS), strict=False):
        tries = (_square(scene, kind) for scene in scenes)
        yield next(posed for posed in tries if posed)


def asked_mixed(number: int, seed: int, most: int = max(EVEN.numbers)) -> Iterator[Posed]:
    """Yield `number` questions about one to `most` scenes of many sizes from the set `seed`."""
    scenes = count(FIRST_SEED + SEEDS_PER_SET * seed, max(EVEN.numbers))
    kinds = [*KINDS] if most == 1 else [*KINDS, "image"]
    for _, kind in zip(range(number), cycle(kinds), strict=False):
        tries = (_mixed(scene, kind, most) for scene in scenes)
        yield next(posed for posed in tries if posed)


def asked_evenly(number: int, seed: int) -> Iterator[Posed]:
    """Yield `number` questions about one scene each from the set `seed`, its buckets in turn."""
    scenes = count(FIRST_SEED + SEEDS_PER_SET * seed)
    turns = cycle(product(KINDS, BUCKETS))
    for _, (kind, wanted) in zip(range(number), turns, strict=False):
        tries = (_mixed(scene, kind, 1) for scene in scenes)
        yield next(posed for posed in tries if posed and bucket_of(posed) == wanted)


def bucket_of(posed: Posed) -> str:
    """Return the bucket of the first picture's size and shape."""
    return bucket(Grid(1, *posed.canvases[0].grid))


def _square(scene: int, kind: str) -> Posed | None:
    question = ask(scene_items(scene), kind, random.Random(f"{kind} {scene}"))
    return Posed(scene, (Canvas(),), question) if question else None


def _mixed(first: int, kind: str, most: int) -> Posed | None:
    rng = random.Random(f"mixed {kind} {first}")
    least = 2 if kind == "image" else 1
    shown = rng.choice([number for number in EVEN.numbers if least <= number <= most])
    question = ask_one_of([scene_items(first + index) for index in range(shown)], kind, rng)
    canvases = tuple(draw_canvas(rng) for _ in range(shown))
    return Posed(first, canvases, question) if question else None


def lines(images: list[str], questions: list[Question]) -> str:
    """Return `questions` about the pictures at `images` as JSON lines."""
    pictures = {"images": images} if len(images) > 1 else {"image": images[0]}
    rows = (pictures | {"question": q.text, "answer": q.answer, "kind": q.kind} for q in questions)
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder: Path, questions: Iterator[Posed]) -> None:
    """Draw each question's scenes and write both under `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    text = ""
    for index, posed in enumerate(questions):
        names = []
        for place, canvas in enumerate(posed.canvases):
            suffix = f"-{place + 1}" if len(posed.canvases) > 1 else ""
            names.append(f"images/{index:04}{suffix}.png")
            canvas.draw(posed.first + place).image.save(folder / names[-1])
        text += lines(names, [posed.question])
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", "--number", type=int, default=400, help="questions to write")
    parser.add_argument("--seed", type=int, default=0, help="number of the set, 0 to 49")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--mixed", action="store_true", help="pictures of many sizes")
    sizes.add_argument("--even", action="store_true", help="one picture, as many of each size")
    parser.add_argument("--most", type=int, default=max(EVEN.numbers), help="of its pictures")
    arguments = parser.parse_args()
    chosen = (arguments.number, arguments.seed)
    posed = asked_evenly(*chosen) if arguments.even else asked(*chosen)
    if arguments.mixed:
        posed = asked_mixed(*chosen, arguments.most)
    write(arguments.folder, posed)


if __name__ == "__main__":
    main()
