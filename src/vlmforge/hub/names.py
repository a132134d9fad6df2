"""Names on the Hub, of models and of packages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"

MODEL = re.compile(rf"({_NAME}/)?{_NAME}")
"""``organization/model``, or the name alone for the oldest models."""

REPO = re.compile(rf"{_NAME}/{_NAME}")
"""``owner/name``."""

REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/+-]*")
"""A branch, tag or commit; git knows others, which nobody needs and paths could hide in."""


@dataclass(frozen=True)
class PackageId:
    """A package on the Hub, ``owner/name`` or ``owner/name@revision``.

    Attributes:
        repo: the repository, ``owner/name``.
        revision: branch, tag or commit; None for the default branch.
    """

    repo: str
    revision: str | None = None

    @staticmethod
    def of(text: str) -> PackageId | None:
        """What a text names, None if it has not the form of such a name."""
        repo, at, revision = text.partition("@")
        if not REPO.fullmatch(repo) or (at and not REVISION.fullmatch(revision)):
            return None
        return PackageId(repo, revision or None)

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"
