"""Contents: which files of a directory are uploaded, and which are not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlmforge.formats.package import PACKAGE_FILES, Package, program_files

CARD = "README.md"
"""The file that the Hub shows as the model card."""


@dataclass(frozen=True)
class Contents:
    """What a package's directory holds.

    Attributes:
        files: those of the package, by their names.
        card: a model card of the user's own, None without one.
        others: the names of all else, in order.
    """

    files: dict[str, Path]
    card: Path | None
    others: list[str]

    @staticmethod
    def of(package: Package) -> Contents:
        """The contents of an open package's directory."""
        names = {*PACKAGE_FILES, *program_files(package.config)}
        files, others, card = {}, [], None
        for entry in sorted(package.dir.iterdir()):
            if entry.name in names and entry.is_file():
                files[entry.name] = entry
            elif entry.name == CARD and entry.is_file():
                card = entry
            else:
                others.append(entry.name)
        return Contents(files, card, others)

    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {name: path.stat().st_size for name, path in self.files.items()}
