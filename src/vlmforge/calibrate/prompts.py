"""Prompts: what the model is asked about the calibration images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptKind:
    """One way to ask about any image.

    Attributes:
        name: what the prompt is after.
        text: the prompt itself.
    """

    name: str
    text: str


PROMPTS: tuple[PromptKind, ...] = (
    PromptKind("caption", "Write a one-sentence caption for this picture."),
    PromptKind("description", "Describe everything you can see here, as thoroughly as possible."),
    PromptKind("objects", "List the things in this picture, one per line."),
    PromptKind("counting", "How many separate things are there? Count them kind by kind."),
    PromptKind("colors", "Which colors appear in the picture, and on what?"),
    PromptKind("positions", "Say what is on the left, in the middle and on the right."),
    PromptKind("relations", "Which things touch, overlap or stand close to each other?"),
    PromptKind("text", "Read out any words, letters or numbers you find; say so if none."),
    PromptKind("scene", "Where might this be, and at what time of day? What suggests it?"),
    PromptKind("activity", "What is going on at this moment?"),
    PromptKind("before_after", "What may have happened just before, and what may come next?"),
    PromptKind("safety", "Could anything here be dangerous to a child? Explain briefly."),
    PromptKind("story", "Make up a short story that begins with this scene."),
    PromptKind("materials", "What are the visible surfaces made of?"),
    PromptKind("light", "Where does the light come from, and which parts lie in shadow?"),
    PromptKind("camera", "How was this taken: from how far, how high, and at what angle?"),
    PromptKind("unusual", "What is the most surprising detail, and why?"),
    PromptKind("yes_no", "Is there a person in this picture? Answer yes or no."),
    PromptKind("json", "Summarize the picture as JSON with the keys subject, setting and mood."),
    PromptKind("translation", "Describe the picture in one English and one French sentence."),
)
"""Short and long answers, prose and lists: the ranges of activations depend on all of them."""


def prompt_for(index: int) -> PromptKind:
    """The prompt of sample ``index``; the kinds take turns."""
    return PROMPTS[index % len(PROMPTS)]
