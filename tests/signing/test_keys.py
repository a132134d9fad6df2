"""Keys are read from PEM files, of the curves that the format knows, or refused in words."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.signing.keys import PASSWORD, write_keys
from vlmforge.errors import SignatureError, SystemFailure
from vlmforge.signing.keys import MAKE, PUBLIC, SigningKey, VerifyingKey


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_every_curve_signs_and_verifies(curve: Any, tmp_path: Path) -> None:
    files = write_keys(tmp_path, curve=curve)
    signing, verifying = SigningKey.load(files.private), VerifyingKey.load(files.public)
    assert signing.fingerprint == verifying.fingerprint
    assert signing.fingerprint == hashlib.sha256(files.public.read_bytes()).hexdigest()
    signature = signing.sign(b"data")
    assert signing.sign(b"data") == signature
    assert verifying.has_signed(b"data", signature)
    assert not verifying.has_signed(b"date", signature)
    assert not verifying.has_signed(b"data", signature[:-1])
    assert not VerifyingKey.load(write_keys(tmp_path, "b", curve).public).has_signed(
        b"data", signature
    )


def test_an_encrypted_key_asks_for_its_password(tmp_path: Path) -> None:
    encrypted, plain = write_keys(tmp_path, password=PASSWORD), write_keys(tmp_path, "plain")
    assert SigningKey.load(encrypted.private, lambda: PASSWORD).sign(b"data")
    with pytest.raises(SignatureError, match="does not open") as caught:
        SigningKey.load(encrypted.private, lambda: "another")
    assert "another" not in str(caught.value)
    with pytest.raises(SignatureError, match="the key is encrypted"):
        SigningKey.load(encrypted.private)
    SigningKey.load(plain.private, lambda: pytest.fail("it has none"))


def test_what_is_no_key_of_these_is_refused(tmp_path: Path) -> None:
    files, wrong = write_keys(tmp_path), tmp_path / "wrong.pem"
    with pytest.raises(SignatureError, match="no public key"):
        VerifyingKey.load(files.private)
    with pytest.raises(SignatureError, match="no private key"):
        SigningKey.load(files.public)
    with pytest.raises(SystemFailure, match="no such file"):
        SigningKey.load(tmp_path / "none.pem")
    key = rsa.generate_private_key(65537, 2048)
    wrong.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SignatureError, match="not of ECDSA"):
        SigningKey.load(wrong)
    odd = write_keys(tmp_path, "odd", ec.SECP256K1())
    with pytest.raises(SignatureError, match="secp256k1"):
        VerifyingKey.load(odd.public)


def test_the_commands_that_mend_make_keys(tmp_path: Path) -> None:
    make = MAKE.partition(": ")[2].replace("-aes256 ", "").split()
    public = PUBLIC.partition(": ")[2].split()
    try:
        subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    subprocess.run(public, cwd=tmp_path, check=True, capture_output=True)
    signing = SigningKey.load(tmp_path / "KEY")
    assert signing.fingerprint == VerifyingKey.load(tmp_path / "PUBKEY").fingerprint
