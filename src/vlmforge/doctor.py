"""What this computer has of what vlmforge needs, and how to mend the rest."""

from __future__ import annotations

import os
import platform
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlmforge import __version__
from vlmforge.errors import RunError
from vlmforge.libraries import (
    COMPILING,
    MEND,
    PHOTOS,
    RUNNING,
    SERVING,
    SIGNING,
    TORCH,
    Library,
    install,
)
from vlmforge.machine.cores import cores, processor
from vlmforge.machine.ram import physical_memory

State = Literal["good", "note", "broken"]

HUB_SECONDS = 4.0
"""How long the Hub may take to answer."""

LITTLE_DISK = 2 << 30
"""Bytes; the files between of a small model need as much."""

MEMINFO = Path("/proc/meminfo")
LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        name: of the thing.
        state: ``"broken"`` keeps packages from running, a ``"note"`` does not.
        found: what there is.
        mend: how to better it, if that is wanted.
    """

    name: str
    state: State
    found: str
    mend: str | None = None


def examine() -> list[Finding]:
    """All findings; takes a few seconds where torch is installed or the Hub is silent."""
    checks = (machine, threads, memory, disk, gpu)
    reached = hub()
    return [*versions(), *(check() for check in checks), reached, coco(reached.state == "good")]


def versions() -> list[Finding]:
    """Of Python, vlmforge and the libraries."""
    found = [
        Finding("python", "good", platform.python_version()),
        Finding("vlmforge", "good", __version__),
    ]
    for library in RUNNING:
        found.append(_library(library, "broken", f"pip install '{library.requirement}'"))
    for library in COMPILING:
        found.append(_library(library, "note", f"{MEND}, to compile models"))
    for library in SERVING:
        found.append(_library(library, "note", f"{install('serve')}, to serve packages"))
    for library in SIGNING:
        found.append(_library(library, "note", f"{install('sign')}, to sign and verify packages"))
    return found


def _library(library: Library, without: State, mend: str) -> Finding:
    lack = library.lack()
    if lack is not None:
        return Finding(library.name, without, lack, mend)
    return Finding(library.name, "good", str(library.version()))


def can_compile(findings: list[Finding]) -> bool:
    """Whether the libraries are there that compiling needs."""
    names = {library.name for library in COMPILING}
    return all(each.state == "good" for each in findings if each.name in names)


def machine() -> Finding:
    """The processor, and with which instructions programs run on it."""
    name = processor()
    try:
        from vlmforge.machine.native.machine import instruction_sets, used_instruction_set
    except ImportError as error:
        mend = "install a C++ compiler, then vlmforge again: pip install --force-reinstall vlmforge"
        what = f"{name}; programs run on the slow reference machine ({error})"
        return Finding("processor", "note", what, mend)
    try:
        used = used_instruction_set()
    except RunError as error:
        return Finding("processor", "broken", f"{name}; {error.what}", error.mend)
    others = ", ".join(instruction_sets())
    return Finding("processor", "good", f"{name}; {used} in use, of {others}")


def threads() -> Finding:
    """How many threads programs use."""
    try:
        count = cores()
    except RunError as error:
        return Finding("threads", "broken", error.what, error.mend)
    return Finding("threads", "good", f"{count}, on {os.cpu_count()} processors")


def memory() -> Finding:
    """What memory there is, for this process."""
    total, free = _memory()
    if total is None:
        return Finding("memory", "note", "unknown")
    shown = f"{total / 1e9:.1f} GB" + ("" if free is None else f", {free / 1e9:.1f} GB free")
    return Finding("memory", "good", shown)


def disk() -> Finding:
    """The disk here."""
    try:
        usage, here = shutil.disk_usage(os.curdir), Path.cwd()
    except OSError as error:
        return Finding("disk", "note", f"unknown: {error.strerror}", "change to another directory")
    shown = f"{usage.free / 1e9:.1f} GB free in {here}"
    if not os.access(here, os.W_OK):
        return Finding("disk", "note", f"{shown}, not writable", "write elsewhere: --out DIR")
    if usage.free < LITTLE_DISK:
        return Finding("disk", "note", shown, "free some space, or name an output on another disk")
    return Finding("disk", "good", shown)


def gpu() -> Finding:
    """Whether the compiler can use a GPU."""
    if TORCH.version() is None:
        return Finding("gpu", "note", "torch is not installed", f"{MEND}, to compile models")
    try:
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    except Exception as error:  # whatever a broken installation of torch raises
        what = f"torch cannot be loaded: {error}"
        return Finding("gpu", "note", what, "pip install --force-reinstall torch")
    if name is None:
        mend = "only for --device gpu: install a CUDA build of PyTorch and a driver"
        return Finding("gpu", "note", "none that torch can use; compiling takes the CPU", mend)
    return Finding("gpu", "good", name)


def hub() -> Finding:
    """Whether models can be downloaded."""
    if _is_offline():
        mend = "to download models: unset HF_HUB_OFFLINE"
        return Finding("hub", "note", "offline, as HF_HUB_OFFLINE says", mend)
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    reason = _within(HUB_SECONDS, lambda: _answers(endpoint))
    if reason is None:
        return Finding("hub", "good", f"{endpoint} answers")
    mend = "connect to the network, set HTTPS_PROXY, or use models from directories"
    return Finding("hub", "note", f"{endpoint} cannot be reached: {reason}", mend)


def coco(reachable: bool) -> Finding:
    """Whether photos to calibrate with can be had; they come from the Hub."""
    for library in PHOTOS:
        lack = library.lack()
        if lack is not None:
            mend = "pip install 'vlmforge[coco]', or name photos: --images DIR"
            return Finding("coco", "note", f"{library.name}: {lack}", mend)
    if not reachable:
        mend = "reach the Hub, or name photos: --images DIR"
        return Finding("coco", "note", "photos are on the Hub", mend)
    return Finding("coco", "good", "photos can be had")


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _memory() -> tuple[int | None, int | None]:
    """Bytes in all, and free, as far as they are known."""
    if not MEMINFO.is_file():
        return physical_memory(), None
    lines = (line.split() for line in MEMINFO.read_text("ascii").splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines if len(words) > 1}
    total, free = sizes.get("MemTotal:"), sizes.get("MemAvailable:")
    limit = LIMIT.read_text("ascii").strip() if LIMIT.is_file() else ""
    if total is not None and limit.isdecimal() and int(limit) < total:
        return int(limit), None
    return total, free


def _answers(url: str) -> str | None:
    """None if a server answers at all, else why not."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=HUB_SECONDS).close()
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return None


def _within(seconds: float, work: Callable[[], str | None]) -> str | None:
    """The result of ``work``; looking up a name may take longer than any timeout."""
    outcome: list[str | None] = []
    thread = threading.Thread(target=lambda: outcome.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"no answer within {seconds:.0f} s"
