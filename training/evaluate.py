"""Score a checkpoint by exact match: `python -m training.evaluate CHECKPOINT QUESTIONS.jsonl`.

Decodes greedily in float32 on the CPU and prints the score of each kind as JSON. An answer is
right if it equals the expected one after trimming, in any case.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image

from vlmforge.images.layout import DYNAMIC
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint


def load(checkpoint: Path) -> ReferenceModel:
    """Return a checkpoint's model in float32, for pictures of any size."""
    return ReferenceModel.load(Checkpoint.open(str(checkpoint)), layout=DYNAMIC)


def answer(model: ReferenceModel, images: list[Image.Image], question: str, limit: int = 64) -> str:
    """Return the greedy answer to a question about some images, of at most `limit` tokens."""
    return model.text(model.generate(model.inputs(question, images), limit))


def evaluate(model: ReferenceModel, questions: Path) -> dict[str, Any]:
    """Return the share of right answers: over all questions, by kind, and how many there were."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for line in questions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        names = row["images"] if "images" in row else [row["image"]]
        images = [Image.open(questions.parent / name) for name in names]
        given = answer(model, images, row["question"])
        right = given.strip().casefold() == row["answer"].strip().casefold()
        hits[row.get("kind", "any")].append(right)
    every = [right for kind in hits.values() for right in kind]
    kinds = {kind: round(sum(right) / len(right), 4) for kind, right in sorted(hits.items())}
    return {"n": len(every), "all": round(sum(every) / len(every), 4), "kinds": kinds}


def main() -> None:
    """Read the command line, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("questions", type=Path)
    arguments = parser.parse_args()
    score = evaluate(load(arguments.checkpoint), arguments.questions)
    print(json.dumps(score, indent=2))


if __name__ == "__main__":
    main()
