"""Machines: this one, or those of a Ray cluster, which must be like it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch

from vlmforge import __version__
from vlmforge.arithmetic.kernels import BUILT
from vlmforge.errors import ClusterError, SourceError, VlmforgeError
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.step import Facts
from vlmforge.stages.version import ROOT, installed_libraries
from vlmforge.tasks.connection import connected
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


@contextmanager
def machines(address: str | None, device: str) -> Iterator[Tasks]:
    """Who computes tasks.

    Args:
        address: of a Ray cluster; this machine alone if None.
        device: where the compiler computes.

    Raises:
        ClusterError: as :func:`vlmforge.tasks.connection.connected`, or another device than the CPU
            is asked for.
        InstallError: Ray is missing.
    """
    if address is None:
        yield HERE
        return
    if device != "cpu":
        raise ClusterError(
            f"a cluster computes on processors, and the device is {device}",
            where=address,
            mend="leave out --device, or --ray",
        )
    with connected(address, torch.get_num_threads(), machine_facts) as cluster:
        yield cluster


@cache
def machine_facts() -> Facts:
    """What bytes follow from on a machine: its code, its libraries, who sums."""
    digest = hashlib.sha256()
    for file in sorted(ROOT.rglob("*.py")):
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode() + file.read_bytes())
    return {
        "version of vlmforge": f"{__version__} ({digest.hexdigest()[:12]})",
        "set of libraries": installed_libraries(),
        "native machine": "built" if BUILT else "not built",
    }


def require_seen(tasks: Tasks, checkpoint: Checkpoint, progress: Progress | None = None) -> None:
    """All machines read the same checkpoint by its path; raises :class:`SourceError`."""
    path = checkpoint.path.resolve()
    for machine, found in tasks.everywhere(partial(_fingerprint, path)):
        if found != checkpoint.fingerprint(progress):
            seen = "no checkpoint" if found is None else "another checkpoint"
            raise SourceError(
                f"a machine of the cluster finds {seen} there",
                where=f"{path} on {machine}",
                mend="put the model where all machines read it by one path, such as a shared disk",
            )


def _fingerprint(path: Path) -> str | None:
    try:
        return Checkpoint.open(str(path)).fingerprint()
    except VlmforgeError:
        return None
