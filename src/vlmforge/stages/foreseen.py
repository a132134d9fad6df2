"""Foreseen: which steps of a compilation are due, and what they take, before any of them runs."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlmforge.errors import OutputError, SystemFailure
from vlmforge.formats.atomic import real_path
from vlmforge.formats.output import existing_parent
from vlmforge.machine.ram import usable_memory
from vlmforge.progress import Stage, duration, human_size
from vlmforge.stages.costs import Cost
from vlmforge.stages.plan import Due
from vlmforge.stages.step import Step

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
        left = sum(cost.left for cost in found)
        return Cost(
            sum(cost.seconds for cost in found),
            max((cost.memory for cost in found), default=0),
            left,
            _height((cost, 0) for cost in found) - left,
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
        written = defaultdict[int, list[tuple[Cost, int]]](list)
        disks = {}
        for each in self.due:
            place = _existing(out if each.step.name.split()[0] == PACKAGE else root)
            disk, replaced = place.stat().st_dev, sum(map(_size, each.step.makes))
            written[disk].append((self._to_come(each.step), replaced))
            disks[disk] = place
        for disk, place in disks.items():
            wanted, free = _height(written[disk]), shutil.disk_usage(place).free
            if free < wanted:
                raise OutputError(
                    f"about {human_size(wanted)} will be written, and {human_size(free)} are free",
                    where=place,
                    mend="free some room, name another disk with --out and --work-dir, or give "
                    "fewer --num-samples",
                )

    def _to_come(self, step: Step) -> Cost:
        """The cost of a step, without what an interrupted run of it has kept on the disk."""
        cost = self.costs[step.name]
        kept = 0 if step.keeps is None else _size(step.keeps)
        return replace(cost, beside=max(0, cost.beside - kept))

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


def _height(costs: Iterable[tuple[Cost, int]]) -> int:
    """Bytes on a disk when most stand there, of steps that follow one another.

    Each comes with the bytes of older files, which it replaces once its own are whole.
    """
    height = left = 0
    for cost, replaced in costs:
        height = max(height, left + cost.left + cost.beside)
        left += cost.left - replaced
    return height


def _existing(path: Path) -> Path:
    """The directory a path leads to, or that of its parents which is there already."""
    target = real_path(path)
    return target if target.is_dir() else existing_parent(target)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
