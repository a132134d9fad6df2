"""Score a checkpoint by exact match: `python -m training.evaluate CHECKPOINT QUESTIONS.jsonl`.

Decodes greedily in float32 on the CPU and prints the score of each kind as JSON. An answer is
right if it equals the expected one after trimming, in any case.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedModel,
)


@dataclass(frozen=True)
class Answerer:
    """A checkpoint ready to answer questions about images."""

    model: PreTrainedModel
    tokenizer: Any
    processor: Any

    @classmethod
    def load(cls, checkpoint: Path) -> Answerer:
        """Load the model in float32, its tokenizer and its image processor."""
        model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        return cls(model.eval(), tokenizer, AutoImageProcessor.from_pretrained(checkpoint))

    def inputs(self, images: list[Image.Image], question: str) -> dict[str, torch.Tensor]:
        """Return what `generate` takes for one question about some images."""
        pixels = self.processor(images=images, return_tensors="pt")
        content = [{"type": "image"} for _ in images] + [{"type": "text", "text": question}]
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        pad = "<|image_pad|>"
        numbers = (pixels["image_grid_thw"].prod(-1) // self.processor.merge_size**2).tolist()
        *parts, last = prompt.split(pad)
        shown = "".join(part + pad * n for part, n in zip(parts, numbers, strict=True))
        text = self.tokenizer(shown + last, return_tensors="pt")
        kinds = (text["input_ids"] == self.model.config.image_token_id).int()
        return {**pixels, **text, "mm_token_type_ids": kinds}

    @torch.no_grad()
    def answer(self, images: list[Image.Image], question: str, limit: int = 64) -> str:
        """Return the greedy answer, of at most `limit` tokens."""
        inputs = self.inputs(images, question)
        output = self.model.generate(**inputs, do_sample=False, max_new_tokens=limit)
        new = output[0, inputs["input_ids"].shape[1] :]
        return self.tokenizer.decode(new, skip_special_tokens=True)


def evaluate(answerer: Answerer, questions: Path) -> dict[str, Any]:
    """Return the share of right answers: over all questions, by kind, and how many there were."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for line in questions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        names = row["images"] if "images" in row else [row["image"]]
        images = [Image.open(questions.parent / name) for name in names]
        given = answerer.answer(images, row["question"])
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
    score = evaluate(Answerer.load(arguments.checkpoint), arguments.questions)
    print(json.dumps(score, indent=2))


if __name__ == "__main__":
    main()
