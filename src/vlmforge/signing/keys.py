"""Keys: ECDSA on a curve of NIST, in PEM files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmforge.errors import InstallError, SignatureError, SystemFailure
from vlmforge.libraries import SIGNING, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
"""Curve to the hash that is signed with it."""

LARGEST = 1 << 16
"""Bytes; no file with a key is larger."""

MAKE = "make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out KEY"
PUBLIC = "name a public one: openssl pkey -in KEY -pubout -out PUBKEY"


@dataclass(frozen=True)
class SigningKey:
    """A private key.

    Attributes:
        fingerprint: of its public key, see :class:`VerifyingKey`.
    """

    fingerprint: str
    _key: ec.EllipticCurvePrivateKey

    @staticmethod
    def load(path: str | os.PathLike[str], password: Callable[[], str] | None = None) -> SigningKey:
        """Read a private key from a PEM file.

        Args:
            path: the file.
            password: is asked for the key's password, of an encrypted one alone.

        Raises:
            SignatureError: the file is not such a key, or the password is missing or wrong.
            SystemFailure: it cannot be read.
            InstallError: the library that signs is missing.
        """
        require("signing", SIGNING, "sign")
        data = _read(Path(path))
        try:
            key = _private_key(data, None)
        except TypeError:  # as the library says that it is encrypted
            if password is None:
                raise SignatureError(
                    "the key is encrypted", where=path, mend="give its password"
                ) from None
            key = _decrypted(data, password(), path)
        except Exception as error:
            raise SignatureError("the file holds no private key", where=path, mend=MAKE) from error
        return SigningKey(_fingerprint(_required(key, path).public_key()), key)

    def sign(self, data: bytes) -> bytes:
        """The signature of some data, ASN.1; of the same data always the same (RFC 6979).

        Raises:
            InstallError: the library has an OpenSSL that cannot.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            scheme = ec.ECDSA(_hash(self._key), deterministic_signing=True)
            return self._key.sign(data, scheme)
        except UnsupportedAlgorithm as error:
            raise InstallError(
                "cryptography was built with an OpenSSL below 3.2",
                mend="pip install --force-reinstall --only-binary :all: cryptography",
            ) from error


@dataclass(frozen=True)
class VerifyingKey:
    """A public key.

    Attributes:
        fingerprint: SHA-256 of its PEM file (SubjectPublicKeyInfo), in hex: ``openssl pkey -pubin
            -in PUBKEY | sha256sum`` gives the same.
    """

    fingerprint: str
    _key: ec.EllipticCurvePublicKey

    @staticmethod
    def load(path: str | os.PathLike[str]) -> VerifyingKey:
        """Read a public key from a PEM file.

        Raises:
            SignatureError: the file is not such a key.
            SystemFailure: it cannot be read.
            InstallError: the library that verifies is missing.
        """
        require("verifying a signature", SIGNING, "sign")
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        data = _read(Path(path))
        try:
            key = load_pem_public_key(data)
        except Exception as error:
            raise SignatureError("the file holds no public key", where=path, mend=PUBLIC) from error
        return VerifyingKey(_fingerprint(_required(key, path)), _required(key, path))

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """Whether a signature is of this data by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self._key.verify(signature, data, ec.ECDSA(_hash(self._key)))
        except InvalidSignature:
            return False
        return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise SystemFailure.of(error, path) from error


def _private_key(data: bytes, password: bytes | None) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(data, password)


def _decrypted(data: bytes, password: str, path: object) -> Any:
    try:
        return _private_key(data, password.encode())
    except Exception as error:  # never with the library's words, which may tell of the password
        raise SignatureError(
            "the password does not open the key", where=path, mend="give its password again"
        ) from error


def _required(key: Any, path: object) -> Any:
    """The key, if it is on one of the curves."""
    curve = getattr(getattr(key, "curve", None), "name", None)
    if curve not in HASHES:
        found = f"is on the curve {curve}" if curve else "is not of ECDSA"
        what = f"the key {found}, where P-256, P-384 and P-521 are read"
        raise SignatureError(what, where=path, mend=MAKE)
    return key


def _hash(key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    return getattr(hashes, HASHES[key.curve.name])()


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()
