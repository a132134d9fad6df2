"""Keys for tests, in PEM files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package

PASSWORD = "three words, long"


@dataclass(frozen=True)
class KeyFiles:
    """The files of a pair of keys."""

    private: Path
    public: Path


def write_keys(folder: Path, name: str = "key", curve: Any = None, password: str = "") -> KeyFiles:
    """A new pair of keys; encrypted where there is a password."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    files = KeyFiles(folder / f"{name}.pem", folder / f"{name}.pub")
    files.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    files.public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return files


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return write_keys(tmp_path)


@pytest.fixture
def package(tiny_package: Path, keys: KeyFiles, tmp_path: Path) -> Path:
    """A signed package of the test's own."""
    directory = Path(shutil.copytree(tiny_package, tmp_path / "package"))
    sign_package(directory, SigningKey.load(keys.private))
    return directory
