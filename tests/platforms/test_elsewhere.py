"""What only Linux has is needed nowhere: commands run without it, and give the same bytes.

The processes started here are of Linux and lack what Windows and macOS lack: see ``elsewhere.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import vlmforge

ELSEWHERE = Path(__file__).with_name("elsewhere.py")
COMPILING = "torch,torch.export,transformers,transformers.modeling_utils,safetensors.torch"
"""Libraries of the compiler, loaded first."""

SERVING = "fastapi,fastapi.responses,prometheus_client,uvicorn,uvicorn.server"
"""Those of the server."""

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(params=["win32", "darwin"], scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python with these arguments as on another system."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(ELSEWHERE, site / "sitecustomize.py")
    settings = {
        "PYTHONPATH": os.pathsep.join([str(site), *sys.path]),
        "PYTHONIOENCODING": "cp1252" if request.param == "win32" else "utf-8",
        "VLMFORGE_TEST_SYSTEM": request.param,
        "COLUMNS": "200",
    }

    def start(*arguments: object, loaded: str = "") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, *map(str, arguments)]
        environment = {**os.environ, **settings, "VLMFORGE_TEST_LOADED": loaded}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done

    assert start("-c", "import sys; print(sys.platform)").stdout == f"{request.param}\n".encode()
    return start


def here(*arguments: object) -> bytes:
    """What the same arguments give on this system."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True).stdout


MODULES = """
import importlib, pkgutil, vlmforge
from vlmforge.errors import InstallError

found = pkgutil.walk_packages(vlmforge.__path__, "vlmforge.", onerror=lambda name: None)
for module in found:
    if module.name.endswith(("__main__", "_native")) or ".integrations." in module.name:
        continue
    importlib.import_module(module.name)
    print(module.name)
"""


def test_every_module_is_imported(run: Run) -> None:
    names = run("-c", MODULES, loaded=f"{COMPILING},{SERVING}").stdout.decode().split()
    assert len(names) > 300 and "vlmforge.formats.stage" in names


def test_a_package_answers(run: Run, tiny_package: Path) -> None:
    asked = ("--prompt", "How many? 몇 개?", "--max-new-tokens", "12")
    chat = ("-m", "vlmforge", "chat", tiny_package, *asked)
    assert run(*chat).stdout == here(*chat)


def test_what_is_printed_is_utf_8(run: Run, tmp_path: Path, tiny_package: Path) -> None:
    package = tmp_path / "꾸러미"
    shutil.copytree(tiny_package, package)
    printed = run("-m", "vlmforge", "inspect", package).stdout.decode("utf-8")
    assert "꾸러미" in printed


def test_what_is_written_is_the_same(run: Run, tmp_path: Path) -> None:
    def draw(directory: Path) -> tuple[object, ...]:
        drawn = ("--images", "synthetic", "--num-images", 2)
        return ("-m", "vlmforge", "images", *drawn, "--output-dir", directory)

    there, mine = tmp_path / "out" / "there", tmp_path / "out" / "here"
    run(*draw(there))
    here(*draw(mine))
    (there / "image_0000.jpg").unlink()
    run(*draw(there))  # one directory takes the place of another
    assert {p.name: p.read_bytes() for p in there.iterdir()} == {
        p.name: p.read_bytes() for p in mine.iterdir()
    }
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"there", "here"}


WRITING = """
import os, sys
from pathlib import Path
from vlmforge.formats.atomic import atomic_directory, atomic_file
from vlmforge.formats.stage import open_stage

folder = Path(sys.argv[1])
for content in (b"old", b"new"):
    with atomic_file(folder / "file") as file:
        file.write(content)
    with atomic_directory(folder / "directory") as partial:
        (partial / content.decode()).write_bytes(content)
(folder / "empty").mkdir()
with atomic_directory(folder / "empty") as partial:
    (partial / "new").touch()
if len(sys.argv) > 2:
    with open_stage(folder / "file") as stage:
        print(stage.path.name, flush=True)
        os._exit(0)
"""


def test_files_and_directories_are_replaced(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    left = run("-c", WRITING, folder, "killed").stdout.decode().strip()
    assert left in {path.name for path in folder.iterdir()}
    (folder / "empty" / "new").unlink()
    (folder / "empty").rmdir()
    run("-c", WRITING, folder)
    assert {path.name for path in folder.iterdir()} == {"file", "directory", "empty"}
    assert (folder / "file").read_bytes() == b"new"
    assert [path.name for path in (folder / "directory").iterdir()] == ["new"]


def test_the_computer_is_looked_at(run: Run) -> None:
    report = json.loads(run("-m", "vlmforge", "doctor", "--json").stdout)
    assert report["packages_run"]


def test_the_speed_is_measured(run: Run, tiny_package: Path) -> None:
    little = (
        "--prefill",
        "8",
        "--decode",
        "2",
        "--rounds",
        "1",
        "--sessions",
        "1",
        "--threads",
        "1",
    )
    shown = run("-m", "vlmforge", "bench", tiny_package, *little).stdout.decode("utf-8")
    assert "decode" in shown and "peak resident memory" in shown


PRIVATE = """
import sys
from vlmforge import private_directory
print(private_directory(sys.argv[1]))
"""


def test_a_private_directory(run: Run, tmp_path: Path) -> None:
    done = run("-c", PRIVATE, tmp_path / "rotations")
    assert (tmp_path / "rotations").is_dir() and str(tmp_path).encode() in done.stdout


@pytest.mark.parametrize("run", ["win32"], indirect=True, scope="module")
def test_the_bundled_model_is_compiled(run: Run, tmp_path: Path) -> None:
    model = vlmforge.sample_checkpoint()
    compiled = ("--images", "synthetic", "--num-samples", "2", "--max-new-tokens", "2")
    package = tmp_path / "package"
    run("-m", "vlmforge", "compile", model, "--out", package, *compiled, loaded=COMPILING)
    assert here("-m", "vlmforge", "inspect", package, "--json")
