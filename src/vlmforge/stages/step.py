"""Step: a piece of a compilation that leaves files, and what they follow from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Facts = dict[str, str]


@dataclass(frozen=True)
class Step:
    """One piece of work, which is left out where its files are there and follow from the same.

    Attributes:
        name: such as ``"mblt language"``.
        run: does it.
        makes: files and directories it leaves; none for a check.
        reads: what of earlier steps it follows from.
        facts: what else it follows from, by the noun that says what is another when it changed:
            ``"seed"``, ``"model"``.
        short: facts of what was not done as asked, once it has run; for their sake it is due again.
        added: names of files that may be added to a directory it made, and leave it as it made it.
        keeps: the directory of what an interrupted run goes on from.
        tidy: deletes what is kept there; done whenever the step is made.
    """

    name: str
    run: Callable[[], object]
    makes: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    facts: Facts = field(default_factory=dict)
    short: Callable[[], Facts] = dict
    added: tuple[str, ...] = ()
    keeps: Path | None = None
    tidy: Callable[[], None] = lambda: None
