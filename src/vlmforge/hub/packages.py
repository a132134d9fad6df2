"""Packages by name: a directory, or a download from the Hub into its cache."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlmforge.errors import FormatError, PackageError
from vlmforge.formats.atomic import restore
from vlmforge.formats.document import parse_object
from vlmforge.formats.package import (
    COMPILE,
    CONFIG_FILE,
    MEND,
    PACKAGE_FILES,
    Package,
    open_package,
    program_files,
)
from vlmforge.hub.failures import Sought
from vlmforge.hub.names import PackageId
from vlmforge.libraries import require_hub
from vlmforge.signing.bundle import SIGN
from vlmforge.signing.keys import VerifyingKey
from vlmforge.signing.package import require_signed

SNAPSHOT = re.compile(r"/models--(.+)--(.+)/snapshots/[^/]+$")
"""A directory of the Hub's cache, as its library names them."""


def find_package(
    name: str | os.PathLike[str],
    revision: str | None = None,
    *,
    verify_key: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Path:
    """The directory of a package: the one named, or a download from the Hub.

    Args:
        name: a directory; where there is none, ``owner/name`` or ``owner/name@revision`` is a
            package on the Hub, whose local cache is used where it can be.
        revision: branch, tag or commit on the Hub, for names without one.
        verify_key: file of the public key with which the package has to be signed.
        options: of the download, as ``huggingface_hub.snapshot_download`` takes them.

    Returns:
        The directory; a name that is not one of the Hub's either comes back as it is.

    Raises:
        PackageError: there is no such package, or no way to it.
        SignatureError: it is not signed with the key, or not as it was signed.
        InstallError: the library that reaches the Hub, or that verifies, is missing.
    """
    key = None if verify_key is None else VerifyingKey.load(verify_key)
    directory = _found(name, revision, options)
    if key is not None:
        with _mending(directory):
            require_signed(directory, key, _links_lead_into(directory))
    return directory


def _found(name: str | os.PathLike[str], revision: str | None, options: dict[str, Any]) -> Path:
    directory = Path(name)
    if not directory.is_dir():
        restore(directory)
    text = name.as_posix() if isinstance(name, Path) else os.fspath(name)
    package = None if os.path.lexists(directory) else PackageId.of(text)
    if package is None:
        return directory
    if package.revision is None:
        package = PackageId(package.repo, revision)
    require_hub(f"{text!r} is no directory here, and a package of the Hub")
    return _download(package, options)


def open_found(
    name: str | os.PathLike[str],
    verify: bool = True,
    revision: str | None = None,
    *,
    verify_key: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Package:
    """Find a package and open it.

    Args:
        name, revision, verify_key, options: see :func:`find_package`.
        verify: see :func:`vlmforge.formats.package.open_package`.

    Raises:
        PackageError: there is no such package, or it is not intact.
        SignatureError, InstallError: see :func:`find_package`.
    """
    directory = find_package(name, revision, verify_key=verify_key, **options)
    with _mending(directory):
        return open_package(directory, verify)


@contextmanager
def _mending(directory: Path) -> Iterator[None]:
    """What is not intact in the Hub's cache is mended there."""
    try:
        yield
    except PackageError as error:
        repo = _cached(directory)
        if repo is None or error.mend not in (MEND, SIGN):
            raise
        mend = f"download it again, after `hf cache rm model/{repo}`"
        raise type(error)(error.what, where=error.where, mend=mend) from error


def _cached(directory: Path) -> str | None:
    """The repository of which a directory of the Hub's cache is a snapshot, None elsewhere."""
    repo = SNAPSHOT.search(directory.as_posix())
    return None if repo is None else f"{repo[1]}/{repo[2]}"


def _links_lead_into(directory: Path) -> Path:
    """Where the links of a package may lead: the Hub's cache has the files beside its snapshots."""
    return directory if _cached(directory) is None else directory.parents[1]


def _download(package: PackageId, options: dict[str, Any]) -> Path:
    """Fetch the files that a package has, and no others; those cached are not fetched again."""
    directory = _snapshot(package, [CONFIG_FILE], options)
    config = directory / CONFIG_FILE
    programs = program_files(_document(config, package))
    if not programs:
        raise _no_package(package, "its config.json names no compiled program")
    commit = PackageId(package.repo, directory.name)  # lest the branch move meanwhile
    return _snapshot(commit, {*PACKAGE_FILES, *programs}, options)


def _snapshot(package: PackageId, names: Collection[str], options: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [glob.escape(name) for name in sorted(names)]
    try:
        return Path(
            snapshot_download(
                package.repo, revision=package.revision, allow_patterns=patterns, **options
            )
        )
    except Exception as error:  # the Hub's client lets errors of its HTTP library through
        sought = Sought("package", str(package), package.revision, PackageError)
        raise sought.failure(error) from error


def _document(config: Path, package: PackageId) -> dict[str, Any]:
    if not config.is_file():
        raise _no_package(package, "it has no config.json")
    try:
        return parse_object(config.read_bytes(), CONFIG_FILE, config)
    except (OSError, FormatError) as error:
        raise _no_package(package, getattr(error, "what", str(error))) from error


def _no_package(package: PackageId, why: str) -> PackageError:
    return PackageError(
        f"the repository on the Hub is no package: {why}", where=package, mend=COMPILE
    )
