"""Write the bundled demo: `python -m training.make_demo CHECKPOINT DIR`.

The folder gets four held-out scenes as `images/*.png` and two questions about each in
`questions.jsonl`: one of every kind, and only such as the checkpoint answers right in float32.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from training.evaluate import Answerer
from training.make_questions import lines
from training.questions import Question, ask
from vlmforge.calibrate.scenes import draw_scene

FIRST_SEED = 999_000_000
PAIRS = (("description", "presence"), ("color", "count"), ("item", "size"), ("shape", "position"))


def right(answerer: Answerer, seed: int, kinds: tuple[str, ...]) -> list[Question]:
    """Return a question of each of `kinds` about the scene of `seed`, if all are answered right."""
    scene, rng = draw_scene(seed, least=3), random.Random(f"demo {seed}")
    questions = [question for kind in kinds if (question := ask(scene.items, kind, rng))]
    agree = (answerer.answer(scene.image, q.text) == q.answer for q in questions)
    return questions if len(questions) == len(kinds) and all(agree) else []


def chosen(answerer: Answerer) -> Iterator[tuple[int, list[Question]]]:
    """Yield for each of `PAIRS` the next scene whose questions are answered right."""
    seeds = count(FIRST_SEED)
    for kinds in PAIRS:
        tries = ((seed, right(answerer, seed, kinds)) for seed in seeds)
        yield next((seed, questions) for seed, questions in tries if questions)


def write(folder: Path, scenes: Iterator[tuple[int, list[Question]]]) -> None:
    """Draw the scenes and write them with their questions under `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    text = ""
    for seed, questions in scenes:
        name = f"images/scene-{seed}.png"
        draw_scene(seed, least=3).image.save(folder / name, optimize=True)
        text += lines(name, questions)
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write(arguments.folder, chosen(Answerer.load(arguments.checkpoint)))


if __name__ == "__main__":
    main()
