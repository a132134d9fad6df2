"""The bundle: a statement in a DSSE envelope, as Sigstore writes it, with its one signature."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from vlmforge.errors import FormatError, SignatureError, SystemFailure
from vlmforge.formats.document import Document, canonical_json, parse_object, refuse, validate

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

LARGEST = 1 << 20
"""Bytes; a package has a few files, and a line of each."""

SIGN = "sign the package again: `vlmforge sign PACKAGE --key KEY`, or copy it again"


class _Open(Document):
    """A part of a bundle, which may say more than is read here."""

    model_config = ConfigDict(extra="allow")


class _Signature(_Open):
    sig: str


class _Envelope(_Open):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


class _PublicKey(_Open):
    hint: str | None = None


class _Material(_Open):
    public_key: _PublicKey = Field(alias="publicKey")


class _Bundle(_Open):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


@dataclass(frozen=True)
class Bundle:
    """A signed statement.

    Attributes:
        payload: the statement, JSON.
        signature: of :attr:`signed`, ASN.1.
        key: fingerprint of the key that it says it was made with; None if it does not say.
    """

    payload: bytes
    signature: bytes
    key: str | None

    @staticmethod
    def read(path: Path) -> Bundle:
        """Read a bundle; whether anybody has signed it remains to be seen.

        Raises:
            SignatureError: there is none, or it is malformed.
        """
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            what = "the package is not signed"
            raise SignatureError(what, where=path.parent, mend=SIGN) from None
        except OSError as error:
            raise SystemFailure.of(error, path) from error
        try:
            return _parsed(data, path)
        except FormatError as error:
            raise malformed(path, error) from error

    @staticmethod
    def signed_bytes(payload: bytes) -> bytes:
        """What is signed of a statement: DSSE's pre-authentication encoding."""
        head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} "
        return head.encode() + payload

    def text(self) -> bytes:
        """The bundle's file, JSON."""
        signature = {"sig": _encoded(self.signature), "keyid": ""}
        document = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": self.key}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _encoded(self.payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [signature],
            },
        }
        return canonical_json(document).encode() + b"\n"


def malformed(path: Path, error: FormatError) -> SignatureError:
    """The error where a bundle, or what it holds, cannot be read."""
    return SignatureError(f"the signature cannot be read: {error.what}", where=path, mend=SIGN)


def _parsed(data: bytes, path: Path) -> Bundle:
    if len(data) > LARGEST:
        raise refuse("it is too large", path)
    found = validate(_Bundle, parse_object(data, "the bundle", path), path)
    payload, (signature,) = found.envelope.payload, found.envelope.signatures
    hint = found.material.public_key.hint
    return Bundle(_decoded(payload, path), _decoded(signature.sig, path), hint or None)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str, path: Path) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse("the bundle is not Base64", path) from error
