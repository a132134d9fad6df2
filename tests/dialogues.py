"""Messages and machines for the tests of what holds dialogues."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.decode.vision import VisionEncoder
from vlmforge.machine.machine import Request
from vlmforge.run.session import Session


class CountingMachine:
    """Notes how many rows each request had, and how many requests each batch."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.program = machine, machine.program
        self.rows: list[int] = []
        self.batches: list[int] = []
        self.new_cache = machine.new_cache

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.run_batch([Request(inputs)])[0]

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        self.rows += [each.inputs[self.program.inputs[0]].shape[-2] for each in requests]
        self.batches.append(len(requests))
        outputs: list[dict[str, np.ndarray]] = self.machine.run_batch(requests)
        return outputs


def counting(session: Session) -> Session:
    """The session with machines that count."""
    assert session.vision is not None
    vision = VisionEncoder(CountingMachine(session.vision.machine))
    return dataclasses.replace(session, text=CountingMachine(session.text), vision=vision)


def picture(seed: int) -> dict[str, Any]:
    """A part that shows an image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 90, 3), np.uint8)
    return {"type": "image", "image": Image.fromarray(pixels)}


def user(*parts: Any) -> dict[str, Any]:
    """A question of texts and pictures."""
    texts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": texts}


def assistant(text: str) -> dict[str, Any]:
    """An answer."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}
