"""Kind: how an output of this project is told from what somebody else put in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vlmforge.errors import OutputError, VlmforgeError


@dataclass(frozen=True)
class Kind:
    """A kind of output.

    Attributes:
        name: what it is called, such as ``"package"``.
        foreign: the first thing at an existing path that is not this project's, None if all is;
            an empty directory holds nothing foreign.
        proof: the file by which a directory proves to be of this kind; None for files.
        error: the class of what is raised.
    """

    name: str
    foreign: Callable[[Path], Path | None]
    proof: str | None = None
    error: type[VlmforgeError] = OutputError

    def may_be_cleared(self, leaving: Path) -> bool:
        """Whether what a killed writer left holds nothing of the user's.

        Without its proof it is a directory in the making, into which the user never looked.
        """
        if self.proof is None or not (leaving / self.proof).exists():
            return True
        return self.foreign(leaving) is None

    def refusal(self, path: Path, found: Path) -> VlmforgeError:
        """The error where ``found`` at the output ``path`` is not this project's."""
        if self.proof is None:
            what = f"the output file is not {self.name} that vlmforge wrote"
            return self.error(what, where=path, mend="name another file, or delete this one")
        return self.error(
            f"the output directory holds other files: {found.name} is not of {self.name}",
            where=path,
            mend=f"name a new directory, or one with nothing in it but {self.name}",
        )
