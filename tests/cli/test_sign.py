"""Packages are signed on the command line, and run there if their signatures are verified."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.signing.keys import PASSWORD, KeyFiles, write_keys
from vlmforge.cli import app
from vlmforge.formats.kinds import PACKAGE
from vlmforge.formats.output import require_replaceable
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.hub.packages import open_found
from vlmforge.signing.keys import SigningKey

ENVIRONMENT = "VLMFORGE_KEY_PASSWORD"


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_package, tmp_path / "package"))


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(app, [str(each) for each in arguments])


def test_a_package_is_signed_and_verified(package: Path, tmp_path: Path) -> None:
    keys, other = write_keys(tmp_path), write_keys(tmp_path, "other")
    signed = run("sign", package, "--key", keys.private, "--json")
    fingerprint = SigningKey.load(keys.private).fingerprint
    path = str(package / SIGNATURE_FILE)
    assert json.loads(signed.stdout) == {"signature": path, "key": fingerprint}
    for key, verified in ((), False), (("--verify-key", keys.public), True):
        shown = json.loads(run("inspect", package, "--json", *key).stdout)
        assert shown["signature"] == {"key": fingerprint, "verified": verified}
    asked = ("chat", package, "--prompt", "Hello", "--max-new-tokens", "2")
    assert run(*asked, "--verify-key", keys.public).exit_code == 0
    refused = run(*asked, "--verify-key", other.public)
    assert refused.exit_code == 2 and "is not of the key" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize(
    "command", ["chat", "serve", "eval", "bench", "diagnose", "inspect", "push", "emulate"]
)
def test_whatever_opens_a_package_takes_a_key(command: str) -> None:
    assert "--verify-key" in run(command, "-h", COLUMNS="200").output


@pytest.mark.parametrize("command", ["eval", "bench", "diagnose"])
def test_no_command_opens_what_is_not_signed(command: str, package: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A red circle is left of the blue square.")
    more = {"eval": ["--text", text], "diagnose": ["--reference", "none"]}.get(command, [])
    refused = run(command, package, *more, "--verify-key", write_keys(tmp_path).public)
    assert refused.exit_code == 2 and "the package is not signed" in refused.stderr


def encrypted_signing(package: Path, keys: KeyFiles) -> list[str]:
    return [sys.executable, "-m", "vlmforge", "sign", str(package), "--key", str(keys.private)]


def test_a_password_comes_from_the_environment(package: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path, password=PASSWORD)
    command = encrypted_signing(package, keys)
    for given, said in (({}, f"set {ENVIRONMENT}"), ({ENVIRONMENT: "wrong"}, "does not open")):
        done = subprocess.run(
            command, env={**os.environ, **given}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2 and said in done.stderr
        assert not (package / SIGNATURE_FILE).exists()
    environment = {**os.environ, ENVIRONMENT: PASSWORD}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)
    assert open_found(package, verify_key=keys.public)


def test_a_password_is_typed_unseen(package: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path, password=PASSWORD)
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        encrypted_signing(package, keys), stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while not seen.endswith(b": "):  # the space comes when nothing is shown any more
        assert select.select([master], [], [], 60)[0], seen
        seen += os.read(master, 1024)
    os.write(master, f"{PASSWORD}\n".encode())
    while process.poll() is None:
        try:
            seen += os.read(master, 1024)
        except OSError:
            break
    assert process.wait() == 0
    assert PASSWORD.encode() not in seen
    assert open_found(package, verify_key=keys.public)


def test_a_compiled_package_is_signed_before_it_takes_its_place(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    keys, out = write_keys(tmp_path), tmp_path / "out"
    few = ("--num-samples", "2", "--max-new-tokens", "4", "--layout", "fixed")
    compile_ = ("compile", tiny_checkpoint, "--out", out, "--images", "synthetic", *few)
    missing = run(*compile_, "--sign", tmp_path / "none.pem")
    assert missing.exit_code == 2 and not (tmp_path / "out.work").exists()
    signed = run(*compile_, "--sign", keys.private)
    assert signed.exit_code == 0, signed.output
    assert open_found(out, verify_key=keys.public)
    assert require_replaceable(out, PACKAGE) == out
