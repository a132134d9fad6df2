"""Plan: steps in order, of which those run whose files do not say that they are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlmforge.machine.ram import return_freed
from vlmforge.progress import Progress, in_stage
from vlmforge.stages.records import Records
from vlmforge.stages.step import Step
from vlmforge.stages.workspace import Workspace

Tell = Callable[[str], None]

MADE = "made already"
FRESH = "everything is asked for afresh"
MISSING = "not made yet"


@dataclass(frozen=True)
class Due:
    """Whether a step is due.

    Attributes:
        step: which.
        reasons: why it is due, in words; none where it is not.
        after: steps before it that are due themselves, and may leave files that make it due.
    """

    step: Step
    reasons: Sequence[str] = ()
    after: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """Why it is due, or not."""
        if not self.reasons and self.after:
            return f"{MADE}, unless {' or '.join(self.after)} leaves other files"
        return ", ".join(self.reasons) or MADE


@dataclass
class Plan:
    """The course of a compilation.

    Attributes:
        records: of what was made before.
        tell: is told, in a line a step, why it runs or is left out.
        fresh: whether all steps run.
        progress: is told of the steps that run, if it is one of :class:`Stages`.
        seconds: wall time of the steps that ran.
    """

    records: Records
    tell: Tell | None = None
    fresh: bool = False
    progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _made: dict[Path, str] = field(default_factory=dict)

    @staticmethod
    def of(
        space: Workspace,
        tell: Tell | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> Plan:
        """The plan of a workspace; arguments as the attributes."""
        return Plan(Records(space.root, space.records), tell, fresh, progress)

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps that are due, each only once those before it are made."""
        for step in steps:
            due = self._due(step)
            if self.tell is not None:
                self.tell(f"{step.name}: {due.sentence}")
            if due.reasons:
                self._run(step)
            step.tidy()

    def foresee(self, steps: Sequence[Step]) -> Iterator[Due]:
        """Which steps are due as things stand; nothing is run or written."""
        pending: dict[Path, str] = {}
        for step in steps:
            due = self._due(step, pending)
            if due.reasons or due.after:
                pending |= dict.fromkeys(step.makes, step.name)
            yield due

    def _due(self, step: Step, pending: dict[Path, str] | None = None) -> Due:
        after = list(dict.fromkeys((pending or {}).get(path, "") for path in step.reads))
        after = [name for name in after if name]
        if self.fresh:
            return Due(step, [FRESH])
        record = self.records.read(step)
        if record is None:
            return Due(step, [MISSING], after)
        known = {path: self._made[path] for path in step.reads if path in self._made}
        reasons = self.records.stale(step, record, known) or self.records.damaged(step, record)
        if not reasons:
            self._made |= self.records.made(step, record)
        return Due(step, reasons, after)

    def _run(self, step: Step) -> None:
        start = time.perf_counter()
        if self.fresh:
            step.tidy()
        with in_stage(self.progress, step.name):
            step.run()
            return_freed()
        reads = {path: self._made[path] for path in step.reads}
        self._made |= self.records.write(step, reads)
        self.seconds[step.name] = time.perf_counter() - start
