"""Push: a package, verified, to the Hub in one commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlmforge.errors import OutputError, PackageError
from vlmforge.hub.names import REPO, REVISION, PackageId
from vlmforge.hub.packages import find_package
from vlmforge.libraries import require_hub
from vlmforge.publish.card import MARK, base_model, model_card
from vlmforge.publish.contents import CARD, Contents
from vlmforge.publish.figures import read_figures
from vlmforge.publish.repository import Head, Repository
from vlmforge.run.session import Session
from vlmforge.signing.package import require_current

MESSAGE = "Upload a package of vlmforge"


@dataclass(frozen=True)
class Pushed:
    """What an upload has done.

    Attributes:
        package: by which name it is opened now, ``owner/name`` or ``owner/name@branch``.
        commit: its hash.
        changed: whether there was anything to change.
        sizes: bytes of the package's files, by their names.
        deleted: files of an earlier package there.
        left_out: what the directory holds besides, which was not uploaded.
        card: the model card there: ``"written"``, ``"yours"``, or ``"kept"`` as it was.
        license: of the original, as its card says; None if that is not known.
    """

    package: str
    commit: str
    changed: bool
    sizes: Mapping[str, int]
    deleted: list[str]
    left_out: list[str]
    card: str
    license: str | None


def push(
    package: str | os.PathLike[str],
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    card: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    verify_key: str | os.PathLike[str] | None = None,
) -> Pushed:
    """Upload a package to the Hugging Face Hub, with a model card, in one commit.

    Before that it is opened and compared with its hashes; what is no file of it stays. The token is
    that of ``huggingface_hub``: ``HF_TOKEN``, or the one that ``hf auth login`` stored.

    Args:
        package: its directory, or its name on the Hub.
        repo: ``owner/name``; made if there is none, and otherwise empty or of a package.
        private: whether it is for its owner alone; one that is there has to be so already.
        revision: the branch, made if there is none; ``main`` by default.
        message: of the commit.
        card: a model card of your own. By default it is the ``README.md`` in the package, or is
            written; one on the Hub that was not written here is kept.
        evaluation: what ``vlmforge eval --json`` has found, for the card.
        verify_key: file of the public key with which the package has to be signed.

    Raises:
        PackageError: the package is not intact, or the evaluation is none.
        SignatureError: it is not signed with the key, or has changed since it was signed.
        OutputError: the Hub does not take it; the branch is then as it was.
        InstallError: the library that reaches the Hub is missing.
    """
    require_hub("vlmforge push")
    target = _target(repo, revision)
    given = None if card is None else _read_card(Path(card))
    figures = None if evaluation is None else read_figures(Path(evaluation))
    opened = Session.open(find_package(package, verify_key=verify_key)).package
    contents = Contents.of(opened)
    require_current(contents.files)
    own = given if given is not None or contents.card is None else _read_card(contents.card)
    _require_card_takes(figures, own)
    repository = Repository(target)
    repository.prepare(private)
    head = repository.head(contents.files)
    original = base_model(opened)
    license_ = repository.license(original) if original else {}
    files: dict[str, Path | bytes] = {**contents.files}
    if own is not None:
        files[CARD] = own
    elif _is_ours(head):
        text = model_card(opened, target, contents.sizes(), license_, figures)
        files[CARD] = text.encode()
    kind = "kept" if CARD not in files else "written" if own is None else "yours"
    stale = head.stale(files)
    commit = repository.commit(files, stale, head, message or MESSAGE)
    changed, sizes = commit != head.commit, contents.sizes()
    licensed = license_.get("license")
    return Pushed(str(target), commit, changed, sizes, stale, contents.others, kind, licensed)


def _target(repo: str, revision: str | None) -> PackageId:
    if not REPO.fullmatch(repo):
        raise OutputError(
            "this is not the name of a repository on the Hub", where=repo,
            mend="write OWNER/NAME; `hf auth whoami` says who you are",
        )  # fmt: skip
    if revision is not None and not REVISION.fullmatch(revision):
        raise OutputError(
            "this is not the name of a branch", where=revision,
            mend="choose one of letters, digits, dots and dashes",
        )  # fmt: skip
    return PackageId(repo, revision)


def _read_card(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageError(
            f"the model card cannot be read: {error.strerror}", where=path, mend="name a file"
        ) from error


def _require_card_takes(figures: Mapping[str, float] | None, own: bytes | None) -> None:
    if figures is not None and own is not None:
        raise PackageError(
            "figures are written into no model card but our own",
            mend="leave --evaluation away, or --card and the README.md of the package",
        )


def _is_ours(head: Head) -> bool:
    """Whether the card there was written here, or there is none."""
    return head.card is None or MARK in head.card
