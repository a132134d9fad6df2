"""Engines: how each is run for one round, and what is read from its own output.

A round gives ``load``, ``vision`` and ``first_token`` in seconds, ``prefill`` (512 tokens) and
``decode`` (64 tokens after 128) in tokens a second, and ``resident`` in bytes; what an engine
does not tell is missing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
QUESTION = "What is in the picture?"

Round = dict[str, float]


class EngineError(Exception):
    """An engine failed, or did not tell what it should."""


@dataclass(frozen=True)
class Setup:
    """What all engines share."""

    peers: Path
    threads: int
    image: Path


@dataclass(frozen=True)
class Output:
    """What a command printed, and the most memory it had in use, in bytes."""

    text: str
    errors: str
    resident: int


def output_of(*command: object) -> Output:
    """Run a command.

    Raises:
        EngineError: it failed.
    """
    words = list(map(str, command))
    with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdout=text, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (text, errors):
            file.seek(0)
        output = Output(text.read().decode(), errors.read().decode(), usage.ru_maxrss * 1024)
    if process.returncode:
        raise EngineError(f"{' '.join(words)} failed:\n{output.text}{output.errors[-3000:]}")
    return output


def vlmforge(path: str, setup: Setup) -> Round:
    """``vlmforge bench``."""
    options = ["--prefill", 512, "--decode", 64, "--threads", setup.threads, "--rounds", 1]
    report = json.loads(output_of("vlmforge", "bench", path, *options, "--json").text)
    shares = {
        "of_read_bandwidth": report["decode"]["of_read_bandwidth"],
        "of_int8_peak": report["prefill"][0]["of_int8_peak"],
        **report["limits"],
    }
    return {
        "load": report["load"]["median"],
        "prefill": report["prefill"][0]["tokens_per_second"],
        "decode": report["decode"]["tokens_per_second"],
        "decode_4": report["decode_together"]["tokens_per_second"],
        "vision": report["vision"]["median"],
        "first_token": report["first_token"]["median"],
        "resident": report["memory"]["peak_resident"],
        **{name: value for name, value in shares.items() if value is not None},
    }


def llama_cpp(path: str, setup: Setup) -> Round:
    """``llama-bench``, and ``llama-mtmd-cli`` where ``mmproj.gguf`` lies beside the file."""
    bench = [setup.peers / "bin" / "llama-bench", "-m", path, "-t", setup.threads]
    bench += ["-r", 1, "-o", "json"]
    prefill = json.loads(output_of(*bench, "-p", 512, "-n", 0).text)
    decode = json.loads(output_of(*bench, "-p", 0, "-n", 64, "-d", 128).text)
    found = {"prefill": prefill[0]["avg_ts"], "decode": decode[0]["avg_ts"]}
    projector = Path(path).with_name("mmproj.gguf")
    return found | (_llama_image(path, projector, setup) if projector.is_file() else {})


def _llama_image(path: str, projector: Path, setup: Setup) -> Round:
    command = [setup.peers / "bin" / "llama-mtmd-cli", "-m", path, "--mmproj", projector]
    command += ["--image", setup.image, "-p", QUESTION, "-n", 1, "-t", setup.threads]
    command += ["--temp", 0, "-c", 1024, "--perf", "-lv", 4]
    output = output_of(*command)
    begin = _clock(r"encoding mtmd batch", output.errors)
    return {
        "load": float(_found(r"load time = +([\d.]+) ms", output.errors)[1]) / 1e3,
        "vision": float(_found(r"mtmd batch encoding done in (\d+) ms", output.errors)[1]) / 1e3,
        "first_token": _clock(r"llama_perf_context_print: +load", output.errors) - begin,
        "resident": output.resident,
    }


def _found(pattern: str, printed: str) -> re.Match[str]:
    found = re.search(pattern, printed)
    if found is None:
        raise EngineError(f"no {pattern!r} in\n{printed[-3000:]}")
    return found


def _clock(pattern: str, printed: str) -> float:
    """Seconds at which the log wrote a line, such as ``1.13.239.931 I load``."""
    found = _found(rf"(\d+)\.(\d+)\.(\d+)\.(\d+) \w +{pattern}", printed)
    minutes, seconds, milli, micro = map(int, found.groups())
    return 60 * minutes + seconds + milli / 1e3 + micro / 1e6


def openvino(path: str, setup: Setup) -> Round:
    """OpenVINO GenAI; properties may follow the path after commas."""
    model, *properties = path.split(",")
    python = setup.peers / "openvino" / "bin" / "python"
    script = HERE / "openvino_engine.py"
    command = (python, script, model, setup.threads, setup.image, QUESTION, *properties)
    return _last_json(output_of(*command))


def pytorch(path: str, setup: Setup) -> Round:
    """PyTorch with transformers, in bfloat16."""
    script = HERE / "torch_engine.py"
    command = (sys.executable, script, path, setup.threads, setup.image, QUESTION)
    return _last_json(output_of(*command))


def _last_json(output: Output) -> Round:
    found = json.loads(output.text.splitlines()[-1])
    print("   ", found.pop("tokens"), "tokens", file=sys.stderr)
    return {**found, "resident": output.resident}


ENGINES: dict[str, Callable[[str, Setup], Round]] = {
    "vlmforge": vlmforge,
    "llama.cpp": llama_cpp,
    "openvino": openvino,
    "pytorch": pytorch,
}
