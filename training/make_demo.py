"""Write the bundled demo: `python -m training.make_demo CHECKPOINT DIR`.

The folder gets held-out scenes on canvases of several sizes and shapes as `images/*.png` and two
questions about each in `questions.jsonl`, the last two about a pair of them: one of every kind,
and only such as the checkpoint answers right in float32.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from training.canvas import Canvas
from training.evaluate import answer, load
from training.make_questions import lines
from training.questions import Question, ask_one_of
from vlmforge.calibrate.scenes import Scene
from vlmforge.original.reference import ReferenceModel

FIRST_SEED = 999_000_000
LEAST = 3
"""Items of a scene."""


def _canvas(height: int, width: int) -> Canvas:
    return Canvas((height, width), (height, width), shaded=True)


PARTS = (
    ((Canvas(),), ("description", "presence")),
    ((_canvas(224, 420),), ("color", "count")),
    ((_canvas(448, 252),), ("item", "size")),
    ((_canvas(392, 392),), ("shape", "position")),
    ((_canvas(252, 336), _canvas(336, 252)), ("image", "color")),
)
"""What pictures are shown together, and which kinds of questions are asked about them."""


def right(model: ReferenceModel, scenes: list[Scene], kinds: tuple[str, ...]) -> list[Question]:
    """Return a question of each of `kinds` about the scenes, if all are answered right."""
    items, rng = [scene.items for scene in scenes], random.Random(repr(scenes[0].items))
    questions = [question for kind in kinds if (question := ask_one_of(items, kind, rng))]
    images = [scene.image for scene in scenes]
    agree = (answer(model, images, q.text) == q.answer for q in questions)
    return questions if len(questions) == len(kinds) and all(agree) else []


def chosen(model: ReferenceModel) -> Iterator[tuple[dict[str, Scene], list[Question]]]:
    """Yield for each of `PARTS` the next scenes, by name, whose questions are answered right."""
    seeds = count(FIRST_SEED)
    for canvases, kinds in PARTS:
        questions: list[Question] = []
        while not questions:
            places = ((canvas, next(seeds)) for canvas in canvases)
            drawn = {f"scene-{seed}": canvas.draw(seed, LEAST) for canvas, seed in places}
            questions = right(model, [*drawn.values()], kinds)
        yield drawn, questions


def write(folder: Path, parts: Iterator[tuple[dict[str, Scene], list[Question]]]) -> None:
    """Write the scenes with their questions under `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    text = ""
    for scenes, questions in parts:
        names = {name: f"images/{name}.png" for name in scenes}
        for name, scene in scenes.items():
            scene.image.save(folder / names[name], optimize=True)
        text += lines([*names.values()], questions)
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write(arguments.folder, chosen(load(arguments.checkpoint)))


if __name__ == "__main__":
    main()
