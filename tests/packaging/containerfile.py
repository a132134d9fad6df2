"""A Containerfile, read: its stages and their instructions."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """An instruction.

    Attributes:
        name: such as ``RUN``.
        text: what follows.
    """

    name: str
    text: str

    @property
    def listed(self) -> list[str]:
        """The words of the text, or of its JSON; options before them are left out."""
        begin = self.text.find("[")
        if begin >= 0:
            words: list[str] = json.loads(self.text[begin:])
            return words
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    @property
    def options(self) -> dict[str, str]:
        """Options such as ``--from=build``."""
        words = [word for word in self.text.split() if word.startswith("--")]
        return dict(word.removeprefix("--").split("=", 1) for word in words)


@dataclass(frozen=True)
class Stage:
    """What one ``FROM`` begins.

    Attributes:
        name: that others copy from, or empty.
        base: the image it begins with.
        steps: the instructions.
    """

    name: str
    base: str
    steps: list[Step]

    def last(self, name: str) -> Step:
        """The last instruction of a name."""
        return [step for step in self.steps if step.name == name][-1]


def stages(text: str) -> list[Stage]:
    """The stages of a Containerfile."""
    found: list[Stage] = []
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            found.append(Stage(alias, base, []))
        else:
            found[-1].steps.append(Step(name, rest.strip()))
    return found
