"""Tasks on a Ray cluster: in order, few at a time, again where a machine is lost."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.clusters import local_cluster
from vlmforge.errors import CalibrationError, ClusterError
from vlmforge.libraries import CLUSTERS
from vlmforge.tasks.cluster import Cluster
from vlmforge.tasks.connection import connected
from vlmforge.tasks.worker import Alike

pytestmark = pytest.mark.skipif(CLUSTERS[0].lack() is not None, reason="make ray installs Ray")


def facts() -> dict[str, str]:
    return {"version of vlmforge": "1.0"}


def process_facts() -> dict[str, str]:
    """Facts that no two processes share."""
    return {"number of the process": str(os.getpid())}


@dataclass(frozen=True)
class Slowly:
    """Squares, in a moment, and notes what it was asked; one item ends its process once."""

    notes: Path
    deadly: int | None = None

    def __call__(self, item: int) -> int:
        asked = self.notes / f"{item}-{os.getpid()}"
        first = not any(self.notes.glob(f"{item}-*"))
        asked.touch()
        if item == self.deadly and first:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return item * item


class Unknown:
    """Is of a module that workers do not have."""

    def __call__(self, item: int = 0) -> int:
        return item

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("vlmforge_of_tomorrow",)


def refuse(item: int) -> int:
    raise CalibrationError(f"{item} is refused", where="there", mend="ask for another")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Any, list[Any]]]:
    with local_cluster(2) as made:
        yield made


@pytest.fixture
def cluster(running: tuple[Any, list[Any]]) -> Iterator[Cluster]:
    with connected(running[0].address, 1, facts) as joined:
        yield joined


@pytest.mark.parametrize("address", ["here", "ray://127.0.0.1:10001", "127.0.0.1:x", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="no address"), connected(address, 1, facts):
        pass


def test_where_nobody_answers_nobody_waits() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ClusterError, match="no cluster answers"), connected(address, 1, facts):
            pass


def test_results_come_in_order_and_few_items_are_ahead(cluster: Cluster, tmp_path: Path) -> None:
    asked: list[int] = []
    items = (asked.append(item) or item for item in range(12))
    results = cluster.map(Slowly(tmp_path), items)
    assert cluster.width == 2
    assert next(results) == 0 and len(asked) == 4
    assert list(results) == [item * item for item in range(1, 12)]


def test_what_a_task_raises_arrives_whole(cluster: Cluster) -> None:
    with pytest.raises(CalibrationError, match="3 is refused") as caught:
        list(cluster.map(refuse, [3]))
    assert (caught.value.where, caught.value.mend) == ("there", "ask for another")


def test_every_machine_is_asked(cluster: Cluster) -> None:
    assert [found for _, found in cluster.everywhere(os.getpid)] != []
    assert len(list(cluster.everywhere(os.getpid))) == 2


def test_a_lost_process_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    assert list(cluster.map(Slowly(tmp_path, deadly=2), range(6))) == [n * n for n in range(6)]
    assert len(list(tmp_path.glob("2-*"))) == 2


def test_machines_that_differ_are_named(running: tuple[Any, list[Any]]) -> None:
    with (
        pytest.raises(ClusterError, match="another number of the process") as caught,
        connected(running[0].address, 1, process_facts),
    ):
        pass
    assert "(" in str(caught.value.where) and "install" in str(caught.value.mend)


def test_one_that_joined_later_is_looked_at_too(cluster: Cluster) -> None:
    cluster._alike = Alike(facts, {"version of vlmforge": "2.0"})
    with pytest.raises(ClusterError, match=r"1\.0, not 2\.0"):
        list(cluster.map(abs, [1]))


def test_a_machine_that_lacks_the_code_is_named(cluster: Cluster) -> None:
    for ask in (lambda: cluster.map(Unknown(), [1]), lambda: cluster.everywhere(Unknown())):
        with pytest.raises(ClusterError, match=r"or another: .*vlmforge_of_tomorrow"):
            list(ask())


def test_tasks_larger_than_any_machine_are_refused(running: tuple[Any, list[Any]]) -> None:
    with (
        pytest.raises(ClusterError, match="2 processors for a task; the largest has 1"),
        connected(running[0].address, 2, facts),
    ):
        pass


def test_a_lost_machine_loses_nothing(tmp_path: Path) -> None:
    with local_cluster(2) as (started, workers), connected(started.address, 1, facts) as cluster:
        results = cluster.map(Slowly(tmp_path), range(16))
        found = [next(results)]
        started.remove_node(workers[0], allow_graceful=False)
        found += results
    assert found == [item * item for item in range(16)]


def test_without_any_machine_nobody_waits(tmp_path: Path) -> None:
    with local_cluster(1) as (started, workers), connected(started.address, 1, facts) as cluster:
        results = cluster.map(Slowly(tmp_path), range(9))
        assert next(results) == 0
        started.remove_node(workers[0], allow_graceful=False)
        with pytest.raises(ClusterError, match="no machine of the cluster"):
            list(results)
