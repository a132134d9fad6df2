"""What packaging/Containerfile builds serves a package, without an engine for containers.

``make container`` makes the base: a Debian with Python, as the base image is. Its stages are then
built in copies of it, and the image's command runs in one, sealed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.containerfile import Stage, stages
from tests.packaging.root import Root

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(os.environ.get("CONTAINER_BASE", ""))
PACKAGE = ROOT / "build" / "demo"
STAGES = stages((ROOT / "packaging" / "Containerfile").read_text("utf-8"))
KEYS = "/run/secrets/api-keys"
ASK = """
import json, sys, urllib.request
body = json.dumps({"messages": [{"role": "user", "content": "How many circles are there?"}]})
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sys.argv[1]}"}
address = "http://127.0.0.1:8000/v1/chat/completions"
asked = urllib.request.Request(address, body.encode(), headers)
print(urllib.request.urlopen(asked).read().decode())
"""

pytestmark = pytest.mark.skipif(
    "CONTAINER_BASE" not in os.environ or os.geteuid() != 0,
    reason="make container, as root, runs it",
)


@pytest.fixture(scope="module")
def image() -> Iterator[Root]:
    """The last stage, built."""
    built: dict[str, Root] = {}
    for number, stage in enumerate(STAGES):
        path = BASE.parent / f"stage-{number}"
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "--archive", "--reflink=auto", BASE, path], check=True)
        built[stage.name] = root = Root(path)
        root.build(stage, ROOT, built)
    yield root
    for each in built.values():
        shutil.rmtree(each.path)


@dataclass
class Container:
    """A running command of an image."""

    process: subprocess.Popen[str]
    root: Root

    @property
    def first(self) -> int:
        """Process 1 of the container, as it is numbered outside."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command there, as the same user."""
        user, group = self.root.user.split(":")
        enter = ["nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--root"]
        enter += [f"--setuid={user}", f"--setgid={group}", "/usr/bin/env", "-i"]
        variables = [f"{name}={value}" for name, value in self.root.environment.items()]
        return subprocess.run([*enter, *variables, *words], capture_output=True, text=True)


@pytest.fixture
def container(image: Root, tmp_path: Path) -> Iterator[Container]:
    """The image's command, with a package, a key, and nothing that could be written to."""
    keys = tmp_path / "keys"
    keys.write_text("secret\n")
    command = [*STAGES[-1].last("ENTRYPOINT").listed, "--api-key-file", KEYS]
    mounts = {"/package": PACKAGE, KEYS: keys}
    started = image.command(command, mounts, sealed=True)
    process = subprocess.Popen(started, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "serving" in line, line + process.stderr.read()
    yield Container(process, image)
    process.kill()
    process.wait()


def health(container: Container, stage: Stage) -> bool:
    """What the image's check says, within a few seconds."""
    check = stage.last("HEALTHCHECK").listed
    for _ in range(50):
        if container.inside(*check).returncode == 0:
            return True
        time.sleep(0.1)
    return False


def test_the_image_serves_a_package(container: Container) -> None:
    assert health(container, STAGES[-1])
    answer = container.inside("python", "-c", ASK, "secret")
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"] == "Zero."
    assert "401" in container.inside("python", "-c", ASK, "wrong").stderr

    os.kill(container.first, signal.SIGTERM)

    assert container.process.wait(30) == 0


def test_it_runs_as_nobody_in_particular(container: Container) -> None:
    status = Path(f"/proc/{container.first}/status").read_text().splitlines()
    (users,) = (line.split()[1:] for line in status if line.startswith("Uid:"))
    assert users == ["10001"] * 4
    assert container.inside("touch", "/package/new").returncode != 0


def test_it_has_the_native_machine_and_no_compiler(image: Root) -> None:
    assert not (image.path / "usr" / "bin" / "g++").exists()
    assert list(image.path.glob("opt/vlmforge/lib/*/site-packages/vlmforge/_native*.so"))
