"""A repository on the Hub, as far as uploading a package goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmforge import __version__
from vlmforge.errors import FormatError, OutputError, VlmforgeError
from vlmforge.formats.document import parse_object
from vlmforge.formats.package import CONFIG_FILE, PACKAGE_FILES, program_files
from vlmforge.hub.failures import LOGIN, status_of
from vlmforge.hub.names import PackageId
from vlmforge.publish.contents import CARD

BRANCH = "main"
"""Where uploads go by default."""

LICENSE = ("license", "license_name", "license_link")
"""What a card's metadata say of a license."""


@dataclass(frozen=True)
class Head:
    """What a branch holds before an upload.

    Attributes:
        commit: its last.
        names: its files.
        programs: those that its ``config.json`` names, if it holds a package.
        card: the text of its model card, None without one.
    """

    commit: str
    names: frozenset[str]
    programs: list[str]
    card: str | None

    def stale(self, names: Collection[str]) -> list[str]:
        """Files of the package there that the one with these files has not."""
        return sorted((self.names & {*PACKAGE_FILES, *self.programs}) - set(names))


class Repository:
    """A repository that packages are uploaded to; the token is that of ``huggingface_hub``."""

    def __init__(self, target: PackageId) -> None:
        from huggingface_hub import HfApi

        self._api = HfApi(library_name="vlmforge", library_version=__version__)
        self._target, self._branch = target, target.revision or BRANCH

    def license(self, model: str) -> dict[str, str]:
        """What a model's card on the Hub says of its license; empty where that is not known."""
        try:
            card = self._api.model_info(model).card_data
        except Exception:  # gone, gated or without a card: then the license is not known
            return {}
        found = {key: card.get(key) for key in LICENSE} if card is not None else {}
        return {key: value for key, value in found.items() if isinstance(value, str)}

    def prepare(self, private: bool) -> None:
        """Make the repository and the branch, where there are none.

        Raises:
            OutputError: they cannot be made; or it is public and is to be private.
        """
        with _failures(self._target):
            repo = self._target.repo
            self._api.create_repo(repo, private=True if private else None, exist_ok=True)
            if private and not self._api.model_info(repo).private:
                raise OutputError(
                    "the repository is public", where=repo,
                    mend="make it private in its settings on the Hub, or name another",
                )  # fmt: skip
            if self._branch != BRANCH:
                self._api.create_branch(repo, branch=self._branch, exist_ok=True)

    def head(self, names: Collection[str]) -> Head:
        """What the branch holds, into which these files are to come.

        Raises:
            OutputError: files of these names are there, and are not those of a package.
        """
        with _failures(self._target):
            info = self._api.model_info(self._target.repo, revision=self._branch)
            there = frozenset(each.rfilename for each in info.siblings or ())
            config = self._read(CONFIG_FILE, info.sha) if CONFIG_FILE in there else None
            card = self._read(CARD, info.sha) if CARD in there else None
        programs = _programs(config)
        if not programs and (taken := sorted(there & set(names))):
            raise OutputError(
                f"the repository holds another model: {taken[0]} is not of a package",
                where=self._target,
                mend="name a new repository, or a branch: --revision NAME",
            )
        text = None if card is None else card.decode("utf-8", "replace")
        return Head(str(info.sha), there, programs, text)

    def commit(
        self, files: Mapping[str, Path | bytes], stale: Collection[str], head: Head, message: str
    ) -> str:
        """Upload files and delete others in one commit; returns its hash.

        Raises:
            OutputError: it did not come about; the branch is then as it was.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

        with _failures(self._target):
            operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
                *(CommitOperationAdd(name, data) for name, data in files.items()),
                *(CommitOperationDelete(name) for name in stale),
            ]
            made = self._api.create_commit(
                self._target.repo,
                operations,
                commit_message=message,
                revision=self._branch,
                parent_commit=head.commit,
            )
            self._require_all(files, str(made.oid))
            return str(made.oid)

    def _require_all(self, files: Collection[str], commit: str) -> None:
        """The Hub leaves out what a repository's ``.gitignore`` names, without a word."""
        there = self._api.list_repo_files(self._target.repo, revision=commit)
        if lacking := sorted(set(files) - set(there)):
            raise OutputError(
                f"the Hub has left out files of the package: {', '.join(lacking)}",
                where=self._target,
                mend="delete the .gitignore of the repository, and push again",
            )

    def _read(self, name: str, commit: str | None) -> bytes:
        path = self._api.hf_hub_download(self._target.repo, name, revision=commit)
        return Path(path).read_bytes()


def _programs(config: bytes | None) -> list[str]:
    """The programs of the package whose ``config.json`` this is; none if it is of none."""
    try:
        document = parse_object(config or b"{}", CONFIG_FILE, Path(CONFIG_FILE))
    except FormatError:
        return []
    return program_files(document)


@contextmanager
def _failures(target: PackageId) -> Iterator[None]:
    """What the Hub or its library raises, as an OutputError."""
    try:
        yield
    except VlmforgeError:
        raise
    except Exception as error:  # the Hub's client lets errors of its HTTP library through
        what, mend = _explained(error)
        raise OutputError(what, where=target, mend=mend) from error


def _explained(error: Exception) -> tuple[str, str]:
    from huggingface_hub.errors import OfflineModeIsEnabled

    while error.__cause__ is not None and status_of(error) is None:  # as uploads are wrapped
        error = error.__cause__ if isinstance(error.__cause__, Exception) else Exception()
    if isinstance(error, OfflineModeIsEnabled):
        return "nothing can be uploaded while HF_HUB_OFFLINE is set", "unset it"
    known = _ANSWERS.get(status_of(error) or 0)
    if known is not None:
        return known
    said: Any = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return f"the upload failed: {said}", "try again"


_ANSWERS = {
    401: ("the Hub asks who you are", f"{LOGIN}, with a token that may write"),
    403: ("the token may not write there", f"{LOGIN}, with one that may; or name another"),
    404: ("there is no such repository, or not for this token", f"correct the name, or {LOGIN}"),
    412: ("somebody else has changed the branch meanwhile", "push again"),
}
"""Status of an answer to what is wrong, and how to mend it."""
