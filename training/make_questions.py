"""Write questions about scenes no training saw: `python -m training.make_questions DIR -n 400`.

The folder gets `images/*.png` and `questions.jsonl`, whose lines hold "image" (a path relative
to the file), "question", "answer" and "kind". The kinds take turns.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

from training.questions import KINDS, Question, ask
from vlmforge.calibrate.scenes import draw_scene, scene_items

FIRST_SEED = 950_000_000
SEEDS_PER_SET = 1_000_000


def asked(number: int, seed: int) -> Iterator[tuple[int, Question]]:
    """Yield `number` questions, each with the seed of its own scene, from the set `seed`."""
    scenes = count(FIRST_SEED + SEEDS_PER_SET * seed)
    for _, kind in zip(range(number), cycle(KINDS), strict=False):
        tries = ((scene, _question(scene, kind)) for scene in scenes)
        yield next((scene, question) for scene, question in tries if question)


def _question(scene: int, kind: str) -> Question | None:
    return ask(scene_items(scene), kind, random.Random(f"{kind} {scene}"))


def lines(image: str, questions: list[Question]) -> str:
    """Return `questions` about the picture at `image` as JSON lines."""
    rows = (
        {"image": image, "question": q.text, "answer": q.answer, "kind": q.kind} for q in questions
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder: Path, questions: Iterator[tuple[int, Question]]) -> None:
    """Draw each question's scene and write both under `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    text = ""
    for index, (seed, question) in enumerate(questions):
        name = f"images/{index:04}.png"
        draw_scene(seed).image.save(folder / name)
        text += lines(name, [question])
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", "--number", type=int, default=400, help="questions to write")
    parser.add_argument("--seed", type=int, default=0, help="number of the set, 0 to 49")
    arguments = parser.parse_args()
    write(arguments.folder, asked(arguments.number, arguments.seed))


if __name__ == "__main__":
    main()
