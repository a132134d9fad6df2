"""Packages: signed, and verified before anything of them is used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmforge.errors import FormatError, PackageError, SignatureError
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.package import (
    COMPILE,
    PACKAGE_FILES,
    SIGNATURE_FILE,
    open_package,
    program_files,
)
from vlmforge.signing.bundle import SIGN, Bundle, malformed
from vlmforge.signing.contents import differences, digest, require_file, signed_files
from vlmforge.signing.keys import SigningKey, VerifyingKey
from vlmforge.signing.statement import read_statement, statement


def sign_package(package: str | os.PathLike[str], key: SigningKey) -> Path:
    """Sign a package: its file ``model.sig``, of which the same key and files make the same.

    The package is opened and compared with its hashes before.

    Args:
        package: its directory.
        key: what to sign with.

    Returns:
        The file; one that is there is replaced.

    Raises:
        PackageError: the package is not intact.
        SignatureError: its directory holds what is not of a package.
    """
    directory = Path(package)
    opened = open_package(directory)
    files = signed_files(directory)
    names = {*PACKAGE_FILES, *program_files(opened.config)}
    if others := sorted(files.keys() - names):
        raise SignatureError(
            f"the directory holds what is not of a package: {', '.join(map(repr, others))}",
            where=directory,
            mend="move it away, and sign again",
        )
    digests = {name: digest(path) for name, path in files.items()}
    payload = statement(str(opened.text.meta.get("model_name", "package")), digests)
    bundle = Bundle(payload, key.sign(Bundle.signed_bytes(payload)), key.fingerprint)
    with atomic_file(directory / SIGNATURE_FILE) as file:
        file.write(bundle.text())
    return directory / SIGNATURE_FILE


def require_signed(directory: Path, key: VerifyingKey, within: Path | None = None) -> None:
    """Require that a package is to the byte what the owner of a key has signed.

    The signature is verified before any other file is looked into.

    Args:
        directory: the package.
        key: whose signature it has to bear.
        within: see :func:`vlmforge.signing.contents.signed_files`.

    Raises:
        SignatureError: there is no signature, or it is malformed, or of another key; or a file is
            missing, added, altered, or a link that leads outside.
        PackageError: there is no such directory.
    """
    if not directory.is_dir():
        raise PackageError("the package directory does not exist", where=directory, mend=COMPILE)
    path, within = directory / SIGNATURE_FILE, (within or directory).resolve()
    if os.path.lexists(path):
        require_file(path, within)
    bundle = Bundle.read(path)
    if bundle.key not in (None, key.fingerprint):
        raise _foreign(path, key, f"; it says that it is of {bundle.key}")
    if not key.has_signed(Bundle.signed_bytes(bundle.payload), bundle.signature):
        raise _foreign(path, key)
    _require_same(signed_files(directory, within), bundle, path)


def require_current(files: Mapping[str, Path]) -> None:
    """Require that a signature among a package's files is of the others, by whatever key.

    Raises:
        SignatureError: they have changed since, or it is malformed.
    """
    path = files.get(SIGNATURE_FILE)
    if path is not None:
        others = {name: file for name, file in files.items() if file != path}
        _require_same(others, Bundle.read(path), path)


def signature_facts(directory: Path, verified: bool) -> dict[str, Any] | None:
    """What a package's signature says of itself, None without one.

    Args:
        directory: the package.
        verified: whether a key was given and has verified it.
    """
    path = directory / SIGNATURE_FILE
    if not path.is_file():
        return None
    return {"key": Bundle.read(path).key or "unknown", "verified": verified}


def _require_same(files: Mapping[str, Path], bundle: Bundle, path: Path) -> None:
    try:
        signed = read_statement(bundle.payload, path)
    except FormatError as error:
        raise malformed(path, error) from error
    if found := differences(files, signed):
        what = f"the package's files are not those that were signed: {'; '.join(found)}"
        raise SignatureError(what, where=path.parent, mend=SIGN)


def _foreign(path: Path, key: VerifyingKey, says: str = "") -> SignatureError:
    return SignatureError(
        f"the signature is not of the key {key.fingerprint}{says}",
        where=path,
        mend="name the public key of whom you expect it from, or do without the package",
    )
