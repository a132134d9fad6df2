"""Packages are opened by their names on the Hub, from the files they have, intact or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import vlmforge
from tests.hub.conftest import contents
from tests.hub.standin import TOKEN, StandIn
from tests.signing.keys import write_keys
from vlmforge.errors import InstallError, PackageError, SignatureError
from vlmforge.evaluation.windows import Windowing
from vlmforge.hub.packages import find_package, open_found
from vlmforge.run.session import Session
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package

NAME = "someone/tiny"


def test_a_package_is_opened_by_its_name(hub: StandIn, tiny_package: Path) -> None:
    hub.add(NAME, {**contents(tiny_package), "README.md": b"# Tiny", "weights.bin": b"no"})
    session = Session.open(NAME)
    assert session.package.fingerprint == Session.open(tiny_package).package.fingerprint
    assert sorted(hub.fetched()) == sorted(contents(tiny_package))
    text = "A red circle."
    assert session.prompts.tokenizer.encode(text).ids


def test_every_way_takes_names(hub: StandIn, tiny_package: Path, tmp_path: Path) -> None:
    hub.add(NAME, contents(tiny_package))
    text = tmp_path / "text.txt"
    text.write_text("A red circle is left of the blue square.", encoding="utf-8")
    assert vlmforge.inspect(NAME) == vlmforge.inspect(tiny_package)
    windowing = Windowing(16)
    assert vlmforge.evaluate_package(NAME, [text], windowing) == vlmforge.evaluate_package(
        tiny_package, [text], windowing
    )


def test_a_revision(hub: StandIn, tiny_package: Path, dynamic_package: Path) -> None:
    repository = hub.add(NAME, contents(tiny_package))
    first = repository.branches["main"]
    repository.commit("main", contents(dynamic_package), "second")
    repository.branches["v1"] = first
    tiny, dynamic = open_found(tiny_package), open_found(dynamic_package)
    assert open_found(NAME).fingerprint == dynamic.fingerprint
    for revision in ("v1", first):
        assert open_found(f"{NAME}@{revision}").fingerprint == tiny.fingerprint
        assert open_found(NAME, revision=revision).fingerprint == tiny.fingerprint
    with pytest.raises(PackageError, match="has no revision v2") as caught:
        open_found(f"{NAME}@v2")
    assert caught.value.where == f"{NAME}@v2" and caught.value.mend


def test_a_directory_comes_first(
    hub: StandIn, tiny_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone").mkdir()
    (tmp_path / NAME).symlink_to(tiny_package)
    assert find_package(NAME) == Path(NAME)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_text("a file")
    with pytest.raises(PackageError, match="does not exist"):
        Session.open(NAME)
    assert hub.requests == []


def test_offline_it_comes_from_the_cache(
    hub: StandIn, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, contents(tiny_package))
    open_found(NAME)
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert open_found(NAME).fingerprint == open_found(tiny_package).fingerprint
    assert hub.requests == []
    with pytest.raises(PackageError, match="HF_HUB_OFFLINE is set") as caught:
        open_found("someone/else")
    assert caught.value.mend and "unset" in caught.value.mend


def test_without_the_network_it_comes_from_the_cache(
    hub: StandIn, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, contents(tiny_package))
    open_found(NAME)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert open_found(NAME).fingerprint == open_found(tiny_package).fingerprint
    with pytest.raises(PackageError, match="the Hub cannot be reached"):
        open_found("someone/else")


def test_half_a_package_in_the_cache_is_none(
    hub: StandIn, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, contents(tiny_package))
    directory = find_package(NAME)
    next(directory.glob("*_text_model.mxq")).unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PackageError, match="not wholly cached"):
        open_found(NAME)


@pytest.mark.parametrize("name", ["model.safetensors", "tiny_text_model.mxq"])
def test_a_damaged_download_is_refused(hub: StandIn, tiny_package: Path, name: str) -> None:
    files = contents(tiny_package)
    damaged = bytearray(files[name])
    damaged[-5] ^= 1
    hub.add(NAME, {**files, name: bytes(damaged)})
    with pytest.raises(PackageError, match="altered") as caught:
        Session.open(NAME)
    assert caught.value.mend and f"hf cache rm model/{NAME}" in caught.value.mend
    with pytest.raises(PackageError) as again:
        Session.open(find_package(NAME))
    assert again.value.mend == caught.value.mend


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"README.md": b"hello"}, "it has no config.json"),
        ({"config.json": b"{}", "model.safetensors": b"x"}, "names no compiled program"),
        ({"config.json": b"[1"}, "not valid JSON"),
        ({"config.json": b'{"mxq_path": "../../x.mxq"}'}, "names no compiled program"),
    ],
)
def test_what_is_no_package(hub: StandIn, files: dict[str, bytes], why: str) -> None:
    hub.add(NAME, files)
    with pytest.raises(PackageError, match=why) as caught:
        open_found(NAME)
    assert caught.value.what.startswith("the repository on the Hub is no package")
    assert caught.value.mend and set(hub.fetched()) <= {"config.json"}


def test_names_of_programs_are_no_patterns(hub: StandIn, tiny_package: Path) -> None:
    files = contents(tiny_package)
    config = files["config.json"].replace(b"tiny_text_model.mxq", b"*.mxq")
    hub.add(NAME, {**files, "config.json": config, "other.mxq": b"other"})
    with pytest.raises(PackageError, match=r"\*\.mxq is missing"):
        open_found(NAME)
    assert "other.mxq" not in hub.fetched()


def test_what_the_hub_refuses(
    hub: StandIn, tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, contents(tiny_package), gated=True)
    hub.add("someone/secret", contents(tiny_package), private=True)
    assert open_found("someone/secret")
    refused = {
        NAME: ("the package is gated", "accept its terms"),
        "someone/none": ("no such package on the Hub", "correct the name"),
    }
    for name, (what, mend) in refused.items():
        with pytest.raises(PackageError, match=what) as caught:
            open_found(name)
        assert caught.value.mend and mend in caught.value.mend
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    with pytest.raises(PackageError, match="does not accept the token"):
        open_found("someone/other")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}-2")
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(PackageError, match="no such package on the Hub"):
        open_found("someone/secret")


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InstallError, match=r"'a/b' is no directory.*huggingface_hub") as caught:
        open_found("a/b")
    assert caught.value.mend == "pip install 'vlmforge[hub]'"


def test_the_command_line_takes_names(hub: StandIn, tiny_package: Path, tmp_path: Path) -> None:
    hub.add(NAME, contents(tiny_package))
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN": TOKEN,
    }

    def chat(name: str) -> subprocess.CompletedProcess[str]:
        asked = ("--prompt", "How many?", "--max-new-tokens", "4")
        command = [sys.executable, "-m", "vlmforge", "chat", name, *asked]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    there, here, gone = chat(NAME), chat(str(tiny_package)), chat("someone/none")
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout
    assert gone.returncode == 2 and "no such package on the Hub" in gone.stderr
    assert "Traceback" not in gone.stderr


def test_a_signed_package_is_verified(hub: StandIn, tiny_package: Path, tmp_path: Path) -> None:
    keys, other = write_keys(tmp_path), write_keys(tmp_path, "other")
    signed = Path(shutil.copytree(tiny_package, tmp_path / "signed"))
    sign_package(signed, SigningKey.load(keys.private))
    hub.add(NAME, {**contents(signed), "README.md": b"# Tiny"})
    expected = open_found(tiny_package).fingerprint
    assert open_found(NAME, verify_key=keys.public).fingerprint == expected
    assert vlmforge.inspect(NAME, keys.public)["signature"]["verified"]
    with pytest.raises(SignatureError, match="not of the key"):
        Session.open(NAME, verify_key=other.public)
    hub.add("someone/changed", {**contents(signed), "chat_template.jinja": b"{{ messages }}"})
    with pytest.raises(SignatureError, match=r"chat_template\.jinja") as caught:
        Session.open("someone/changed", verify_key=keys.public)
    assert caught.value.mend and "hf cache rm model/someone/changed" in caught.value.mend


def test_a_link_out_of_the_cache_is_refused(
    hub: StandIn, tiny_package: Path, tmp_path: Path
) -> None:
    keys = write_keys(tmp_path)
    signed = Path(shutil.copytree(tiny_package, tmp_path / "signed"))
    sign_package(signed, SigningKey.load(keys.private))
    hub.add(NAME, contents(signed))
    config = find_package(NAME) / "config.json"
    config.unlink()
    config.symlink_to(signed / "config.json")
    with pytest.raises(SignatureError, match="leads out"):
        find_package(find_package(NAME), verify_key=keys.public)
