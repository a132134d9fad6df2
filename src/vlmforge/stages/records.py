"""Records: what the files of a work directory say of themselves, a record beside for each step.

A record holds the facts its step followed from and the fingerprints of all files it left, and is
written when they are whole. So a file that was altered, replaced or damaged since, by whomever,
does not count as made, and neither does one whose writer was killed before it said so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vlmforge.errors import FormatError
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.document import Document, parse_object, validate
from vlmforge.formats.fingerprint import Fingerprints
from vlmforge.formats.kinds import STEP_FORMAT
from vlmforge.stages.step import Step


class Record(Document):
    """What is written of a step.

    Attributes:
        facts: what it followed from.
        reads: fingerprints of the files of earlier steps it followed from.
        made: fingerprints of its own files.
    """

    format: Literal["vlmforge.step"]
    facts: dict[str, str]
    reads: dict[str, str]
    made: dict[str, str]


@dataclass(frozen=True)
class Records:
    """The records below a work directory.

    Attributes:
        root: the work directory; files in it are named from here, so that it can be moved.
        folder: where the records are.
        found: fingerprints of files that stand there.
    """

    root: Path
    folder: Path
    found: Fingerprints = field(default_factory=Fingerprints)

    def read(self, step: Step) -> Record | None:
        """What was written of a step, None if nothing was, or nothing that can be read."""
        path = self._path(step.name)
        with suppress(OSError, FormatError):
            return validate(Record, parse_object(path.read_bytes(), "the record", path), path)
        return None

    def write(self, step: Step, reads: Mapping[Path, str]) -> dict[Path, str]:
        """Say of a step's files that they are made; gives their fingerprints.

        Args:
            step: which has run.
            reads: fingerprints of what it read.

        Raises:
            FormatError: a file is missing or damaged, just after it was written.
        """
        made = {path: self._whole(path, step.added) for path in step.makes}
        record = Record(
            format=STEP_FORMAT, facts=step.facts | step.short(), reads=self._named(reads),
            made=self._named(made),
        )  # fmt: skip
        with atomic_file(self._path(step.name)) as file:
            file.write((json.dumps(record.model_dump(), indent=2) + "\n").encode())
        return made

    def forget(self, name: str) -> None:
        """Delete the record of a step, if there is one."""
        self._path(name).unlink(missing_ok=True)

    def stale(self, step: Step, record: Record, reads: Mapping[Path, str]) -> list[str]:
        """What of a step's record is otherwise now, in words; its own files are not looked at."""
        keys = sorted({*record.facts, *step.facts})
        changed = [another(k) for k in keys if record.facts.get(k) != step.facts.get(k)]
        named = self._named(reads)
        read = [name for name in named if record.reads.get(name) != named[name]]
        read += sorted(record.reads.keys() - {self.name(path) for path in step.reads})
        return changed + [f"{name} changed" for name in read]

    def damaged(self, step: Step, record: Record) -> list[str]:
        """Which of a step's files are not those it left, in words."""
        found = {path: self.found.of(path, step.added) for path in step.makes}
        wrong = [path for path in found if found[path] != record.made.get(self.name(path), "")]
        return [f"{self.name(p)} {'was altered' if p.exists() else 'is missing'}" for p in wrong]

    def made(self, step: Step, record: Record) -> dict[Path, str]:
        """The fingerprints of a step's files as recorded."""
        return {path: record.made[self.name(path)] for path in step.makes}

    def name(self, path: Path) -> str:
        """A path as seen from the work directory, where it lies in it."""
        return path.relative_to(self.root).as_posix() if self.root in path.parents else str(path)

    def _named(self, fingerprints: Mapping[Path, str]) -> dict[str, str]:
        return {self.name(path): found for path, found in fingerprints.items()}

    def _whole(self, path: Path, added: Collection[str]) -> str:
        found = self.found.of(path, added)
        if found is None:
            raise FormatError(
                "a file that was just written is not whole",
                where=path,
                mend="run the same command again, on a disk that keeps what is written",
            )
        return found

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.json"


def another(fact: str) -> str:
    """The reason why a step is due that followed from another fact of this name."""
    return f"another {fact}"
