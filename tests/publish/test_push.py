"""Packages are uploaded to a stand-in of the Hub, whole and verified, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

import vlmforge
from tests.hub.conftest import contents, hub
from tests.hub.standin import TOKEN, Refusal, StandIn
from tests.signing.keys import write_keys
from vlmforge.errors import InstallError, OutputError, PackageError, SignatureError
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.hub.packages import open_found
from vlmforge.publish.push import push
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package

__all__ = ["hub"]

NAME = "someone/tiny"


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    """A package of the test's own."""
    return Path(shutil.copytree(tiny_package, tmp_path / "package"))


def test_a_package_arrives_whole(hub: StandIn, package: Path) -> None:
    pushed = push(package, NAME)
    repository = hub.repositories[NAME]
    there = repository.files()
    assert there.keys() - contents(package).keys() == {"README.md", ".gitattributes"}
    assert {name: there[name] for name in contents(package)} == contents(package)
    assert repository.messages == ["first", "Upload a package of vlmforge"]
    assert (pushed.package, pushed.commit) == (NAME, repository.branches["main"])
    assert (pushed.changed, pushed.card, pushed.license) == (True, "written", None)
    assert pushed.sizes == {name: len(data) for name, data in contents(package).items()}
    assert not repository.private
    assert open_found(NAME).fingerprint == open_found(package).fingerprint
    assert not (package / "README.md").exists()


def test_pushed_again_nothing_changes(hub: StandIn, package: Path) -> None:
    first = push(package, NAME)
    again = push(package, NAME)
    assert again.commit == first.commit and not again.changed
    assert len(hub.repositories[NAME].messages) == 2


def test_options(hub: StandIn, package: Path) -> None:
    pushed = push(package, NAME, private=True, revision="int8", message="An int8 package")
    repository = hub.repositories[NAME]
    assert repository.private and repository.messages[-1] == "An int8 package"
    assert pushed.package == f"{NAME}@int8"
    assert ".mxq" not in " ".join(repository.files("main"))
    assert open_found(f"{NAME}@int8").fingerprint == open_found(package).fingerprint
    assert f"vlmforge chat {NAME}@int8" in repository.files("int8")["README.md"].decode()


def test_what_is_not_of_the_package_stays(hub: StandIn, package: Path) -> None:
    (package / "notes.txt").write_text("private")
    (package / "old_text_model.mxq").write_bytes(b"old")
    (package / ".env").write_text("SECRET=1")
    (package / "images").mkdir()
    (package / "images" / "a.png").write_bytes(b"png")
    pushed = push(package, NAME)
    assert pushed.left_out == [".env", "images", "notes.txt", "old_text_model.mxq"]
    assert not {"notes.txt", ".env", "old_text_model.mxq"} & set(hub.repositories[NAME].files())


def test_a_damaged_package_is_not_uploaded(hub: StandIn, package: Path) -> None:
    path = package / "tiny_text_model.mxq"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackageError, match="altered"):
        push(package, NAME)
    assert hub.requests == []


def test_what_an_earlier_package_had_is_deleted(
    hub: StandIn, package: Path, tiny_package: Path
) -> None:
    (package / "chat_template.jinja").write_text("{{ messages }}")
    config = json.loads((package / "config.json").read_text())
    (package / config["mxq_path"]).rename(package / "other_text_model.mxq")
    (package / "config.json").write_text(json.dumps({**config, "mxq_path": "other_text_model.mxq"}))
    push(package, NAME)
    repository = hub.repositories[NAME]
    files = {**repository.files(), "figure.png": b"png", "mine.mxq": b"mine"}
    repository.commit("main", files, "a figure")
    pushed = push(tiny_package, NAME)
    assert pushed.deleted == ["chat_template.jinja", "other_text_model.mxq"]
    beside = {"README.md", ".gitattributes", "figure.png", "mine.mxq"}
    assert set(repository.files()) == set(contents(tiny_package)) | beside


def test_another_model_is_not_overwritten(hub: StandIn, package: Path) -> None:
    hub.add(NAME, {"config.json": b'{"model_type": "qwen2_vl"}', "model.safetensors": b"weights"})
    with pytest.raises(OutputError, match=r"another model: config.json") as caught:
        push(package, NAME)
    assert caught.value.mend and "--revision" in caught.value.mend
    assert hub.repositories[NAME].messages == ["first"] and hub.objects == {}


def test_a_public_repository_does_not_become_private(hub: StandIn, package: Path) -> None:
    hub.add(NAME, {})
    with pytest.raises(OutputError, match="is public"):
        push(package, NAME, private=True)
    assert hub.repositories[NAME].messages == ["first"] and hub.objects == {}


def test_an_interrupted_upload_commits_nothing(hub: StandIn, package: Path) -> None:
    push(package, NAME)
    before = hub.repositories[NAME].files()
    first = next(iter(hub.objects))
    hub.objects.clear()

    def fail(oid: str) -> None:
        if oid != first:
            raise Refusal(403, message="the storage is closed")

    hub.on_upload = fail
    (package / "generation_config.json").write_text("{}")
    with pytest.raises(OutputError):
        push(package, "someone/other")
    assert hub.repositories["someone/other"].messages == ["first"]
    assert hub.repositories[NAME].files() == before
    hub.on_upload = lambda oid: None
    assert push(package, "someone/other").changed


def test_a_killed_upload_commits_nothing(hub: StandIn, package: Path, tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []
    hub.on_upload = lambda oid: started[0].send_signal(signal.SIGKILL)
    command = [sys.executable, "-m", "vlmforge", "push", str(package), NAME]
    started.append(subprocess.Popen(command, env=environment(hub, tmp_path)))
    assert started[0].wait(60) == -signal.SIGKILL
    assert hub.repositories[NAME].messages == ["first"]
    assert not any(line.startswith("POST") and "/commit/" in line for line in hub.requests)


def test_a_branch_that_moves_meanwhile(hub: StandIn, package: Path) -> None:
    push(package, NAME)
    repository = hub.repositories[NAME]
    (package / "generation_config.json").write_text("{}")
    hub.before_commit = lambda: repository.commit("main", {"theirs.txt": b""}, "theirs") and None
    with pytest.raises(OutputError, match="meanwhile"):
        push(package, NAME)
    assert set(repository.files()) == {"theirs.txt"}


def test_files_that_the_hub_ignores(hub: StandIn, package: Path) -> None:
    hub.add(NAME, {".gitignore": b"tiny_text_model.mxq\n"})
    with pytest.raises(OutputError, match=r"has left out .*: tiny_text_model"):
        push(package, NAME)


@pytest.mark.parametrize("token", ["", "hf_unknown"])
def test_without_a_token(
    hub: StandIn, package: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(OutputError, match="who you are") as caught:
        push(package, NAME)
    assert caught.value.mend and "HF_TOKEN" in caught.value.mend
    assert hub.repositories == {}


def test_where_the_token_may_not_write(hub: StandIn, package: Path) -> None:
    hub.closed.add("someone")
    with pytest.raises(OutputError, match="may not write there"):
        push(package, NAME)


def test_offline(hub: StandIn, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OutputError, match="while HF_HUB_OFFLINE is set") as caught:
        push(package, NAME)
    assert caught.value.mend == "unset it"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"repo": "tiny"}, "not the name of a repository"),
        ({"repo": "someone/tiny@v1"}, "not the name of a repository"),
        ({"revision": "a b"}, "not the name of a branch"),
        ({"card": "none.md"}, "model card cannot be read"),
        ({"evaluation": "none.json"}, "evaluation cannot be taken: No such file"),
    ],
)
def test_what_is_known_before(
    hub: StandIn, package: Path, options: dict[str, Any], what: str
) -> None:
    with pytest.raises((OutputError, PackageError), match=what) as caught:
        push(package, **{"repo": NAME, **options})
    assert caught.value.mend and hub.requests == []


def test_without_the_library(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InstallError, match=r"vlmforge push needs.*huggingface_hub") as caught:
        push(package, NAME)
    assert caught.value.mend == "pip install 'vlmforge[hub]'"


def test_cards_of_ones_own(hub: StandIn, package: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_bytes(b"# Given\n")
    repository = hub.add(NAME, {"README.md": b"# Theirs\n"})
    assert push(package, NAME).card == "kept"
    assert repository.files()["README.md"] == b"# Theirs\n"
    (package / "README.md").write_bytes(b"# In the package\n")
    assert push(package, NAME).card == "yours"
    assert repository.files()["README.md"] == b"# In the package\n"
    assert push(package, NAME, card=card).card == "yours"
    assert repository.files()["README.md"] == b"# Given\n"
    assert (package / "README.md").read_bytes() == b"# In the package\n"


def test_figures_need_a_card_of_ours(hub: StandIn, package: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    figures.write_text('{"n": 4, "accuracy": 0.75}')
    assert push(package, NAME, evaluation=figures).card == "written"
    assert "accuracy, exact match | 0\\.75" in hub.repositories[NAME].files()["README.md"].decode()
    (package / "README.md").write_text("# Mine\n")
    with pytest.raises(PackageError, match="no model card but our own"):
        push(package, NAME, evaluation=figures)


def test_the_license_is_that_of_the_original(hub: StandIn, package: Path) -> None:
    hub.add("tests/tiny", {}, license="apache-2.0")
    pushed = push(package, NAME)
    assert pushed.license == "apache-2.0"
    assert "\nlicense: apache-2.0\n" in hub.repositories[NAME].files()["README.md"].decode()


def environment(hub: StandIn, folder: Path) -> dict[str, str]:
    """What lets a process reach the stand-in alone."""
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_TOKEN": TOKEN,
    }
    return {**os.environ, **settings}


def test_the_command(hub: StandIn, package: Path, tmp_path: Path) -> None:
    (package / "notes.txt").write_text("private")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vlmforge", "push", str(package), *arguments]
        return subprocess.run(
            command, env=environment(hub, tmp_path), capture_output=True, text=True, check=False
        )

    done = run(NAME, "--branch", "v1")
    assert done.returncode == 0, done.stderr
    assert "notes.txt" in done.stdout and f"vlmforge chat {NAME}@v1" in done.stdout
    facts = json.loads(run(NAME, "--revision", "v1", "--json").stdout)
    assert facts["commit"] == hub.repositories[NAME].branches["v1"] and not facts["changed"]
    hub.closed.add("nobody")
    refused = run("nobody/tiny")
    assert refused.returncode == 2 and "may not write there" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_is_public() -> None:
    assert vlmforge.push is push


def test_a_signature_is_uploaded(hub: StandIn, package: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    sign_package(package, SigningKey.load(keys.private))
    (package / "notes.txt").write_text("private")
    push(package, NAME)
    there = hub.repositories[NAME].files()
    assert there[SIGNATURE_FILE] == (package / SIGNATURE_FILE).read_bytes()
    assert SigningKey.load(keys.private).fingerprint in there["README.md"].decode()
    assert open_found(NAME, verify_key=keys.public)
    (package / SIGNATURE_FILE).unlink()
    assert push(package, NAME).deleted == [SIGNATURE_FILE]


def test_with_a_key_nothing_else_is_uploaded(hub: StandIn, package: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    with pytest.raises(SignatureError, match="not signed"):
        push(package, NAME, verify_key=keys.public)
    sign_package(package, SigningKey.load(keys.private))
    with pytest.raises(SignatureError, match="not of the key"):
        push(package, NAME, verify_key=write_keys(tmp_path, "other").public)
    assert hub.requests == []
    assert push(package, NAME, verify_key=keys.public).changed


def test_an_outdated_signature_is_not_uploaded(hub: StandIn, package: Path, tmp_path: Path) -> None:
    sign_package(package, SigningKey.load(write_keys(tmp_path).private))
    (package / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(SignatureError, match=r"chat_template\.jinja'"):
        push(package, NAME)
    assert hub.requests == []
