"""The statement that is signed: the names of a package's files, each with its SHA-256.

An in-toto statement with the predicate of OpenSSF Model Signing 1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from vlmforge.formats.document import Document, canonical_json, parse_object, refuse, validate
from vlmforge.formats.package import SIGNATURE_FILE

KIND = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"

UNSIGNED = (
    SIGNATURE_FILE, "README.md", ".cache", ".git", ".gitattributes", ".github", ".gitignore",
)  # fmt: skip
"""What may stand beside signed files: the model card, and what the Hub and Git keep there.

Nothing of a package is read from them.
"""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Open(Document):
    """A part of a statement, which may say more than is read here."""

    model_config = ConfigDict(extra="allow")


class _Resource(_Open):
    name: str
    algorithm: Literal["sha256"]
    digest: Digest


class _Serialization(_Open):
    method: Literal["files"]
    hash_type: Literal["sha256"]


class _Predicate(_Open):
    serialization: _Serialization
    resources: list[_Resource]


class _Sha256(_Open):
    sha256: Digest


class _Subject(_Open):
    digest: _Sha256


class _Statement(_Open):
    kind: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[_Subject] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


def statement(name: str, digests: Mapping[str, str]) -> bytes:
    """The statement about the files of a package, JSON.

    Args:
        name: of the model.
        digests: name of each file to its SHA-256, in hex.
    """
    names = sorted(digests)
    resources = [{"name": n, "algorithm": "sha256", "digest": digests[n]} for n in names]
    serialization = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": list(UNSIGNED),
    }
    document = {
        "_type": KIND,
        "subject": [{"name": name, "digest": {"sha256": _root([digests[n] for n in names])}}],
        "predicateType": PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    return canonical_json(document).encode()


def read_statement(payload: bytes, path: Path) -> dict[str, str]:
    """Name of each file to its SHA-256, in hex, as a statement has them.

    Raises:
        FormatError: it is malformed, or its files were digested in another way.
    """
    found = validate(_Statement, parse_object(payload, "the statement", path), path)
    resources = found.predicate.resources
    digests = {each.name: each.digest for each in resources}
    if len(digests) != len(resources):
        raise refuse("the statement names a file twice", path)
    if _root([each.digest for each in resources]) != found.subject[0].digest.sha256:
        raise refuse("the statement contradicts itself: its digest is not of its files", path)
    return digests


def _root(digests: list[str]) -> str:
    """One digest over all, in their order."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
