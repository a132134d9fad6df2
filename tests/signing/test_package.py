"""A signed package is verified to the byte before anything of it is used, or refused by name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import vlmforge
from tests.signing.keys import KeyFiles, keys, package, write_keys
from vlmforge.errors import PackageError, SignatureError
from vlmforge.formats import package as package_format
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.hub.packages import open_found
from vlmforge.run.session import Session
from vlmforge.signing.bundle import Bundle
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package, signature_facts

__all__ = ["keys", "package"]


def refusal(package: Path, keys: KeyFiles) -> str:
    """Why the package is refused, before anything of it is opened."""
    with pytest.raises(SignatureError) as caught:
        Session.open(package, verify_key=keys.public)
    assert caught.value.where and caught.value.mend
    return caught.value.what


def test_a_signed_package_opens_with_its_key_and_without(package: Path, keys: KeyFiles) -> None:
    assert Session.open(package, verify_key=keys.public).max_length
    assert (
        open_found(package).fingerprint == open_found(package, verify_key=keys.public).fingerprint
    )


def test_the_same_key_and_files_make_the_same_signature(package: Path, keys: KeyFiles) -> None:
    first = (package / SIGNATURE_FILE).read_bytes()
    moved = package.rename(package.with_name("moved"))
    sign_package(moved, SigningKey.load(keys.private))
    assert (moved / SIGNATURE_FILE).read_bytes() == first


def test_a_package_without_a_signature_is_refused(tiny_package: Path, keys: KeyFiles) -> None:
    assert refusal(tiny_package, keys) == "the package is not signed"


def test_a_changed_byte_in_any_file_is_named(package: Path, keys: KeyFiles) -> None:
    for path in sorted(package.iterdir()):
        before = path.read_bytes()
        for place in (0, len(before) // 2, -1):
            data = bytearray(before)
            data[place] ^= 1
            path.write_bytes(data)
            assert path.name in refusal(package, keys) or path.name == SIGNATURE_FILE
        path.write_bytes(before)
    assert Session.open(package, verify_key=keys.public)


def missing(package: Path) -> str:
    (package / "tokenizer_config.json").unlink()
    return "'tokenizer_config.json' missing"


def added(package: Path) -> str:
    (package / "merges.txt").write_text("#version: 0.2")
    return "'merges.txt' added"


def renamed(package: Path) -> str:
    (package / "generation_config.json").rename(package / "added_tokens.json")
    return "'generation_config.json' missing; 'added_tokens.json' added"


def folder(package: Path) -> str:
    (package / "more").mkdir()
    return "'more' is no file"


def outside(package: Path) -> str:
    moved = package.with_name("elsewhere.json")
    (package / "config.json").rename(moved)
    (package / "config.json").symlink_to(moved)
    return "'config.json' is a link that leads out of the package"


def linked_folder(package: Path) -> str:
    (package / "more").symlink_to(package.parent)
    return "'more' is a link that leads out of the package"


def nowhere(package: Path) -> str:
    (package / "config.json").rename(package / "config.json.old")
    (package / "config.json").symlink_to("gone.json")
    return "'config.json' is a link that leads nowhere"


def linked_signature(package: Path) -> str:
    moved = package.with_name("elsewhere.sig")
    (package / SIGNATURE_FILE).rename(moved)
    (package / SIGNATURE_FILE).symlink_to(moved)
    return f"'{SIGNATURE_FILE}' is a link that leads out of the package"


CHANGES = [missing, added, renamed, folder, outside, linked_folder, nowhere, linked_signature]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_signed_is_named(
    change: Callable[[Path], str], package: Path, keys: KeyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = change(package)
    monkeypatch.setattr(package_format, "_read_config", lambda _: pytest.fail("it was used"))
    assert expected in refusal(package, keys)


def test_another_key_is_named(package: Path, keys: KeyFiles, tmp_path: Path) -> None:
    other = write_keys(tmp_path, "other")
    what = refusal(package, other)
    for files in (keys, other):
        assert SigningKey.load(files.private).fingerprint in what


def test_a_false_hint_helps_nobody(package: Path, tmp_path: Path) -> None:
    other = write_keys(tmp_path, "other")
    path = package / SIGNATURE_FILE
    bundle = json.loads(path.read_text())
    fingerprint = SigningKey.load(other.private).fingerprint
    bundle["verificationMaterial"]["publicKey"]["hint"] = fingerprint
    path.write_text(json.dumps(bundle))
    assert refusal(package, other) == f"the signature is not of the key {fingerprint}"


def test_a_statement_put_in_place_of_the_signed_one_is_refused(
    package: Path, keys: KeyFiles
) -> None:
    path = package / SIGNATURE_FILE
    bundle = json.loads(path.read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"tiny", b"tinz")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    path.write_text(json.dumps(bundle))
    assert "not of the key" in refusal(package, keys)


def test_a_truncated_bundle_is_refused(package: Path, keys: KeyFiles) -> None:
    path = package / SIGNATURE_FILE
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 3):
        path.write_bytes(data[:length])
        assert refusal(package, keys).startswith("the signature cannot be read")
    path.write_bytes(data + b" " * (1 << 20))
    assert "too large" in refusal(package, keys)


def test_other_ways_to_sign_are_refused_by_name(package: Path, keys: KeyFiles) -> None:
    """They may be good signatures, but not what is read here."""
    path, key = package / SIGNATURE_FILE, SigningKey.load(keys.private)
    statement = json.loads(Bundle.read(path).payload)
    for section, field, value in (
        (statement, "predicateType", "https://slsa.dev/provenance/v1"),
        (statement["predicate"]["serialization"], "method", "shards"),
        (statement["predicate"]["serialization"], "hash_type", "blake3"),
    ):
        kept, section[field] = section[field], value
        payload = json.dumps(statement).encode()
        signature = key.sign(Bundle.signed_bytes(payload))
        path.write_bytes(Bundle(payload, signature, key.fingerprint).text())
        assert field in refusal(package, keys)
        section[field] = kept


def test_links_within_a_package_are_followed(package: Path, keys: KeyFiles) -> None:
    (package / "config.json").rename(package / ".cache")
    (package / "config.json").symlink_to(".cache")
    link = package.with_name("link")
    link.symlink_to(package)
    assert Session.open(link, verify_key=keys.public)


def test_a_model_card_stands_beside(package: Path, keys: KeyFiles) -> None:
    (package / "README.md").write_text("# Mine")
    (package / ".git").mkdir()
    assert Session.open(package, verify_key=keys.public)


def test_only_a_package_is_signed(package: Path, keys: KeyFiles) -> None:
    key, before = SigningKey.load(keys.private), (package / SIGNATURE_FILE).read_bytes()
    (package / "notes.txt").write_text("private")
    with pytest.raises(SignatureError, match=r"not of a package: 'notes.txt'"):
        sign_package(package, key)
    (package / "notes.txt").unlink()
    program = package / "tiny_text_model.mxq"
    program.write_bytes(program.read_bytes()[:-1])
    with pytest.raises(PackageError):
        sign_package(package, key)
    assert (package / SIGNATURE_FILE).read_bytes() == before


def test_what_is_told_of_a_signature(package: Path, keys: KeyFiles, tiny_package: Path) -> None:
    key = SigningKey.load(keys.private).fingerprint
    assert vlmforge.inspect(tiny_package)["signature"] is None
    assert vlmforge.inspect(package)["signature"] == {"key": key, "verified": False}
    verified = vlmforge.inspect(package, keys.public)["signature"]
    assert verified == {"key": key, "verified": True}
    (package / SIGNATURE_FILE).write_text("{}")
    with pytest.raises(SignatureError, match="cannot be read"):
        signature_facts(package, verified=False)
