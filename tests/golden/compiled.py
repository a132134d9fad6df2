"""Prints the bits of a compiled sample; run by the test in a process of its own.

The environment says on how many threads, and with which instructions, it compiles.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.calibrate.scenes import draw_scene
from vlmforge.formats.mxq import read_mxq
from vlmforge.images.layout import FIXED
from vlmforge.pipeline import compile_model
from vlmforge.program.core import Program
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.sample import checkpoint

QUESTIONS = ("What do you see?", "How many shapes are there?")


def fingerprint(program: Program) -> str:
    """SHA-256 in hex of all that a machine computes with; provenance aside."""
    document = {
        "inputs": program.inputs,
        "outputs": program.outputs,
        "buffers": [asdict(buffer) for buffer in program.buffers.values()],
        "instructions": [asdict(each) for each in program.instructions],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name, array in sorted(program.tensors.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def conversation(package: Path) -> list[list[int]]:
    """The token ids of the answers to questions asked one after another."""
    asked = Conversation(Session.open(package))
    messages: list[dict[str, Any]] = []
    answers = []
    for number, question in enumerate(QUESTIONS):
        text = {"type": "text", "text": question}
        shown = [] if number else [{"type": "image", "image": draw_scene(5).image}]
        messages.append({"role": "user", "content": [*shown, text]})
        answer = asked.generate(messages)
        messages.append({"role": "assistant", "content": answer.text})
        answers.append(list(answer.token_ids))
    return answers


def main(family: str, package: Path) -> None:
    compile_model(
        str(checkpoint(family)),
        package,
        images="synthetic",
        num_samples=4,
        max_new_tokens=16,
        layout=FIXED,
    )
    programs = {file.name: fingerprint(read_mxq(file)) for file in sorted(package.glob("*.mxq"))}
    print(json.dumps({"programs": programs, "conversation": conversation(package)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
