"""Scripts for the runtime run unchanged, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.signing.keys import write_keys
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package

SCRIPT = """
import sys
import beside
import qbruntime
from qbruntime import Accelerator, Cluster, Core, CoreId, Model, ModelConfig, QbRuntimeError

assert __name__ == "__main__" and "qbruntime" in sys.modules
assert CoreId(Cluster.Cluster1, Core.Core2) == CoreId(Cluster.Cluster1, Core.Core2)
assert not hasattr(qbruntime, "start_tracing_events")
config = ModelConfig()
config.set_single_core_mode(None, [CoreId(Cluster.Cluster0, Core.Core0)])
model = Model(sys.argv[1], config)
model.launch(Accelerator("aries-rb", 0))
print(sys.argv[2:], model.get_model_input_shape(), beside.FOUND)
heavy = {"torch", "transformers", "safetensors", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
if "--fail" in sys.argv:
    raise KeyError("of the script")
sys.exit(3)
"""

RUNNERS = {
    "command": ["vlmforge", "emulate"],
    "module": ["vlmforge.integrations.qbruntime"],
}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("FOUND = 'beside it'\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "script.py"


def run(runner: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *RUNNERS[runner], *map(str, arguments)]
    wide = {**os.environ, "COLUMNS": "400"}  # lest a path be broken over two lines
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=wide)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_script(runner: str, script: Path, tiny_package: Path) -> None:
    program = tiny_package / "tiny_text_model.mxq"
    done = run(runner, script, program, "--help", "-x")

    assert done.stdout.strip() == "['--help', '-x'] [(1, -1, 96)] beside it"
    assert done.returncode == 3, done.stderr

    failed = run(runner, script, program, "--fail")
    assert failed.returncode == 1
    assert failed.stderr.rstrip().endswith("KeyError: 'of the script'")


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_script_that_is_not_there(runner: str, tmp_path: Path) -> None:
    done = run(runner, tmp_path / "none.py")

    assert done.returncode in (1, 2)
    assert "none.py" in done.stderr and "Traceback" not in done.stderr


def test_the_runtime_itself_is_not_replaced(script: Path) -> None:
    code = (
        "import sys, types; sys.modules['qbruntime'] = types.ModuleType('qbruntime')\n"
        "from vlmforge.integrations.qbruntime import install; install()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert "another module called qbruntime was imported before" in done.stderr


def test_with_a_key_a_script_opens_nothing_else(
    script: Path, tiny_package: Path, tmp_path: Path
) -> None:
    package, keys = Path(shutil.copytree(tiny_package, tmp_path / "p")), write_keys(tmp_path)
    asked = ("--verify-key", keys.public, script, package / "tiny_text_model.mxq")
    refused = run("command", *asked)
    assert "QbRuntimeError: the package is not signed" in refused.stderr
    sign_package(package, SigningKey.load(keys.private))
    assert run("command", *asked, "--verify-key").stdout.startswith("['--verify-key'] ")
    wrong = run("command", "--verify-key", script, script)
    assert wrong.returncode == 2 and "the file holds no public key" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_key_stays_where_a_script_installs_the_emulation(
    tiny_package: Path, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(
        "import sys, os\n"
        "from vlmforge.integrations.qbruntime import Model, install\n"
        "os.chdir('/')\n"
        "install()\n"
        "Model(sys.argv[1])\n"
    )
    write_keys(tmp_path)
    command = [sys.executable, "-m", "vlmforge", "emulate", "--verify-key", "key.pub", "script.py"]
    done = subprocess.run(
        [*command, str(tiny_package / "tiny_text_model.mxq")],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert "the package is not signed" in done.stderr
