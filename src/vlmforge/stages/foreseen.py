"""Foreseen: which steps of a compilation are due, and what they take, before any of them runs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlmforge.errors import OutputError, SystemFailure
from vlmforge.formats.output import existing_parent
from vlmforge.machine.ram import usable_memory
from vlmforge.progress import Stage, duration, human_size
from vlmforge.stages.costs import Cost
from vlmforge.stages.plan import Due

PACKAGE = "package"

ANSWERING = "calibrate language"
"""The step whose time is the most it takes: answers may end early."""

MENDS = {
    "calibrate": "give --dtype bfloat16, which halves what the original model takes",
    "mxq": "give fewer --num-samples, or shorter ones with --max-new-tokens or --max-pixels",
}
"""What makes a step need less memory, by the first word of its name."""


@dataclass(frozen=True)
class Foreseen:
    """A compilation before it begins.

    Attributes:
        model: what is compiled, and how long the steps that take longest may take, in words.
        steps: all, in order; which are due, and why.
        costs: what each takes, by its name.
    """

    model: str
    steps: Sequence[Due]
    costs: Mapping[str, Cost]

    @property
    def due(self) -> list[Due]:
        """The steps that run, or may run because of those before them."""
        return [each for each in self.steps if each.reasons or each.after]

    @property
    def total(self) -> Cost:
        """All due steps together: they follow one another, and leave their files side by side."""
        found = [self.costs[each.step.name] for each in self.due]
        return Cost(
            sum(cost.seconds for cost in found),
            max((cost.memory for cost in found), default=0),
            sum(cost.left for cost in found),
            max((cost.beside for cost in found), default=0),
        )

    @property
    def stages(self) -> list[Stage]:
        """The steps that run, for a progress that is told of them."""
        return [
            Stage(each.step.name, self.costs[each.step.name].seconds, each.step.name == ANSWERING)
            for each in self.due
        ]

    def sentence(self) -> str:
        """One line for people."""
        if not self.due:
            return f"all {len(self.steps)} steps are made already"
        total, names = self.total, ", ".join(each.step.name for each in self.due)
        takes = f"about {duration(total.seconds)}, {human_size(total.memory)} of memory"
        disk = f"{human_size(total.left + total.beside)} of disk"
        return f"{len(self.due)} of {len(self.steps)} steps are due ({names}): {takes}, {disk}"

    def document(self) -> dict[str, Any]:
        """The same for programs: seconds and bytes."""
        return {
            "steps": [
                {
                    "name": each.step.name,
                    "due": "yes" if each.reasons else "perhaps" if each.after else "no",
                    "reason": each.sentence,
                    **asdict(self.costs[each.step.name]),
                }
                for each in self.steps
            ],
            "total": asdict(self.total),
        }

    def require_room(self, root: Path, out: Path) -> None:
        """The disks have room for what is going to be written.

        Args:
            root: the work directory.
            out: the package.

        Raises:
            OutputError: one has not.
        """
        needed: Counter[int] = Counter()
        for each in self.due:
            place = out if each.step.name.split()[0] == PACKAGE else root
            needed[_disk(place)] += self.costs[each.step.name].left
        for path in (root, out):
            if not needed[_disk(path)]:
                continue
            parent, wanted = existing_parent(path), needed[_disk(path)] + self.total.beside
            free = shutil.disk_usage(parent).free
            if free < wanted:
                raise OutputError(
                    f"about {human_size(wanted)} will be written, and {human_size(free)} are free",
                    where=parent,
                    mend="free some room, name another disk with --out and --work-dir, or give "
                    "fewer --num-samples",
                )

    def require_memory(self) -> None:
        """The memory of this computer holds what every due step holds at its height.

        Raises:
            SystemFailure: it does not.
        """
        memory = usable_memory()
        for each in self.due:
            name, wanted = each.step.name, self.costs[each.step.name].memory
            if memory is not None and wanted > memory:
                larger, less = "use a larger machine", MENDS.get(name.split()[0])
                sizes = f"{human_size(wanted)} of memory, and there are {human_size(memory)}"
                raise SystemFailure(
                    f"{name} takes about {sizes}",
                    mend=larger if less is None else f"{less}, or {larger}",
                )


def _disk(path: Path) -> int:
    return existing_parent(path).stat().st_dev
