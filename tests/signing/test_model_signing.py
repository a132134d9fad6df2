"""OpenSSF's own tool verifies what is signed here, and what it signs is verified here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.signing.keys import KeyFiles, write_keys
from vlmforge.errors import SignatureError
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.run.session import Session
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package

TOOL = Path(__file__).parents[2] / "build" / "model-signing" / "bin" / "model_signing"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="make model-signing installs it")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return write_keys(tmp_path)


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "package"))


def verified(package: Path, keys: KeyFiles) -> bool:
    """Whether the tool verifies a package, as docs/signing.md shows."""
    signature = package / SIGNATURE_FILE
    arguments = ["key", package, "--public_key", keys.public, "--signature", signature]
    done = subprocess.run([TOOL, "verify", *arguments], capture_output=True, text=True)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    return done.returncode == 0


def test_it_verifies_what_is_signed_here(package: Path, keys: KeyFiles, tmp_path: Path) -> None:
    sign_package(package, SigningKey.load(keys.private))
    (package / "README.md").write_text("# Mine")
    assert verified(package, keys)
    assert not verified(package, write_keys(tmp_path, "other"))
    (package / "merges.txt").write_text("#version: 0.2")
    assert not verified(package, keys)
    (package / "merges.txt").unlink()
    config = package / "config.json"
    config.write_bytes(config.read_bytes() + b" ")
    assert not verified(package, keys)


def test_what_it_signs_is_verified_here(package: Path, keys: KeyFiles, tmp_path: Path) -> None:
    signature = package / SIGNATURE_FILE
    arguments = ["key", package, "--private_key", keys.private, "--signature", signature]
    subprocess.run([TOOL, "sign", *arguments], check=True)
    assert Session.open(package, verify_key=keys.public)
    with pytest.raises(SignatureError, match="not of the key"):
        Session.open(package, verify_key=write_keys(tmp_path, "other").public)
    config = package / "config.json"
    config.write_bytes(config.read_bytes() + b" ")
    with pytest.raises(SignatureError, match=r"'config\.json' altered"):
        Session.open(package, verify_key=keys.public)
