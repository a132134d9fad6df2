"""Size: what a setting asks of a weight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """What a setting asks for.

    Attributes:
        key: of the setting, within its part.
        asked: elements of the weight's axis that follow from it.
        weight: canonical name.
        axis: of the weight.
        direct: whether the setting is that number itself.
    """

    key: str
    asked: int
    weight: str
    axis: int = 0
    direct: bool = True
