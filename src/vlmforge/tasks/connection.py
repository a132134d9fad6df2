"""Connection: how this process becomes part of a Ray cluster, and leaves it."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vlmforge.errors import ClusterError
from vlmforge.libraries import CLUSTERS, require
from vlmforge.tasks.cluster import PATIENCE, Cluster, first_line
from vlmforge.tasks.worker import Alike, Facts

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""What keeps Ray from sending statistics of its use, and from writing to standard output."""

FORWARDED = ("GOMP_SPINCOUNT", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "VLMFORGE_ISA")
"""Variables that tasks find in their environment as they are here."""

JOIN = "start Ray here, as a part of the cluster: ray start --address HOST:PORT"


@contextmanager
def connected(address: str, threads: int, look: Callable[[], Facts]) -> Iterator[Cluster]:
    """A cluster whose machines are like this one.

    Args:
        address: ``"HOST:PORT"`` of its head, or ``"auto"`` for the one this machine is in.
        threads: of each task.
        look: gives what has to be the same on all machines; a function of a module.

    Raises:
        InstallError: Ray is missing.
        ClusterError: nobody answers, a machine differs, or none has processors for a task.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    require("--ray", CLUSTERS, "ray")
    _require_answer(address)
    _connect(address, threads)
    import ray

    try:
        cluster = Cluster(address, threads, Alike(look, look()))
        cluster.require_machines()
        list(cluster.everywhere(look))
        yield cluster
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Somebody listens at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if re.fullmatch(r"[\w.-]+:[0-9]{1,5}", address) is None:
        raise ClusterError(
            "this is no address of a Ray cluster",
            where=address,
            mend="give HOST:PORT of its head, or auto on a machine that is part of it",
        )
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no cluster answers: {error}",
            where=address,
            mend="start one with `ray start --head --port PORT`, or check the address",
        ) from error


def _connect(address: str, threads: int) -> None:
    """Join a cluster; Ctrl-C and SIGTERM do what they did before."""
    import ray

    if ray.is_initialized():
        raise ClusterError(
            "Ray is in use by this process already", mend="call ray.shutdown() first"
        )
    told = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    environment = {"env_vars": told | {"OMP_NUM_THREADS": str(threads)}}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address, runtime_env=environment, log_to_driver=False, logging_level=logging.CRITICAL
        )
    except Exception as error:  # of many kinds, by what is amiss
        raise ClusterError(
            f"the cluster cannot be joined: {first_line(error)}", where=address, mend=JOIN
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
