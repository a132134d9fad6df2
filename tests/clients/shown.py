"""The commands that docs/evaluation.md shows, run with a server of the sample's package."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.test_commands import ROOT, blocks

PAGE = ROOT / "docs" / "evaluation.md"
PACKAGE = ROOT / "build" / "demo"
SHOWN_ADDRESS, SHOWN_OUTPUT = "http://127.0.0.1:8000", "--output_path results"


def is_installed(tool: str) -> bool:
    """Whether ``make evaluation-tools`` has made the tool's environment, and the package."""
    return _program(tool).exists() and PACKAGE.exists()


def samples(tool: str, task: str, address: str, folder: Path) -> list[dict[str, Any]]:
    """What a tool writes of each sample of a task.

    Args:
        tool: its command.
        task: which of the page's commands.
        address: of the server.
        folder: to write to.
    """
    command = _shown(tool, task)
    assert SHOWN_ADDRESS in command and SHOWN_OUTPUT in command
    command = command.replace(SHOWN_ADDRESS, address)
    command = command.replace(SHOWN_OUTPUT, f"--output_path {folder}")
    arguments = [str(_program(tool)), *shlex.split(command)[1:]]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (file,) = folder.glob(f"*/*samples_{task}*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _shown(tool: str, task: str) -> str:
    shell = "".join(block.text for block in blocks(PAGE, "sh")).replace("\\\n", " ")
    (command,) = (
        line
        for line in shell.splitlines()
        if line.startswith(f"{tool} ") and f"--tasks {task} " in line
    )
    return command


def _program(tool: str) -> Path:
    return ROOT / "build" / tool.replace("_", "-") / "bin" / tool
