"""Messages and machines for the tests of what holds dialogues."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.decode.vision import VisionEncoder
from vlmforge.machine.machine import Request
from vlmforge.run.session import Session


class CountingMachine:
    """Notes how many rows each request had, and how many requests each batch.

    With a ``pause``, in seconds before each batch, whoever asks has time to ask again.
    """

    def __init__(self, machine: Any, pause: float = 0.0) -> None:
        self.machine, self.program, self.pause = machine, machine.program, pause
        self.rows: list[int] = []
        self.batches: list[int] = []
        self.new_cache = machine.new_cache

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.run_batch([Request(inputs)])[0]

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        self.rows += [each.inputs[self.program.inputs[0]].shape[-2] for each in requests]
        self.batches.append(len(requests))
        time.sleep(self.pause)
        outputs: list[dict[str, np.ndarray]] = self.machine.run_batch(requests)
        return outputs


def counting(session: Session, pause: float = 0.0) -> Session:
    """The session with machines that count, that of the text after a pause."""
    assert session.vision is not None
    vision = VisionEncoder(CountingMachine(session.vision.machine))
    return dataclasses.replace(session, text=CountingMachine(session.text, pause), vision=vision)


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> dict[str, Any]:
    """A part that shows an image of noise of this width and height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return {"type": "image", "image": Image.fromarray(pixels)}


def video(seed: int, frames: int = 8, size: tuple[int, int] = (90, 60)) -> dict[str, Any]:
    """A part that shows a video of noise."""
    shape = (frames, size[1], size[0], 3)
    return {"type": "video", "video": np.random.default_rng(seed).integers(0, 256, shape, np.uint8)}


def user(*parts: Any) -> dict[str, Any]:
    """A question of texts and pictures."""
    texts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": texts}


def assistant(text: str) -> dict[str, Any]:
    """An answer."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


TALKS: dict[str, list[dict[str, Any]]] = {
    "an image": [user(picture(0, (70, 130)), "What is it?")],
    "an image after text": [user("Look:", picture(1, (200, 40)))],
    "images of two sizes in two turns": [
        user(picture(2, (60, 60)), "What is it?"),
        assistant("A star."),
        user("And this?", picture(3, (400, 300))),
    ],
    "sixteen images": [
        user(*(picture(10 + n % 5, (60 + 30 * (n % 3), 60)) for n in range(16)), "Which?")
    ],
    "a video of eight frames": [user(video(4), "What happens?")],
    "a video between images": [
        user(picture(5, (56, 84)), "and", video(6, 3, (30, 60)), "and", video(7, 8), "?"),
        assistant("A cross."),
        user(picture(5, (56, 84)), "again?"),
    ],
}
"""Conversations for a package that takes images of any size."""
