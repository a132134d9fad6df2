"""A Ray cluster on this computer: a head that computes nothing, and workers of one processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NOTICED = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 4,
}
"""Ray's settings with which a lost machine is noticed in seconds instead of a minute."""

STORE = {"object_store_memory": 200 << 20}


@contextmanager
def local_cluster(workers: int) -> Iterator[tuple[Any, list[Any]]]:
    """A cluster and its worker nodes, each of which ``remove_node`` kills."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": NOTICED, **STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster, [cluster.add_node(num_cpus=1, **STORE) for _ in range(workers)]
    finally:
        cluster.shutdown()
