"""Cluster: tasks are computed on the machines of a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from vlmforge.errors import ClusterError, VlmforgeError
from vlmforge.tasks.tasks import Item, Result
from vlmforge.tasks.worker import Alike, look, packed, work

RETRIES = 5
"""Times that a task runs again whose machine or process was lost."""

PATIENCE = 10.0
"""Seconds between looks whether the cluster still has machines, and for an answer to a call."""


class Cluster:
    """See :class:`vlmforge.tasks.tasks.Tasks`.

    A task takes as many processors of one machine as it has threads. Those whose machine or process
    is lost run again on another; results come in the order of the items all the same.

    Args:
        address: of the cluster, for messages.
        threads: of each task.
        alike: what all machines must have in common.
    """

    def __init__(self, address: str, threads: int, alike: Alike) -> None:
        self._address, self._threads, self._alike = address, threads, alike

    @property
    def width(self) -> int:
        """The tasks that all machines have processors for at once."""
        self.require_machines()
        return sum(int(each["Resources"].get("CPU", 0) // self._threads) for each in _nodes())

    def require_machines(self) -> None:
        """A machine has as many processors as a task takes; raises :class:`ClusterError`."""
        largest = max((each["Resources"].get("CPU", 0) for each in _nodes()), default=0)
        if largest < self._threads:
            raise ClusterError(
                f"no machine of the cluster has {self._threads} processors for a task; the largest "
                f"has {largest:.0f}",
                where=self._address,
                mend="give --threads N with fewer, or add machines; what was made is kept",
            )

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Twice as many items as :attr:`width` are ahead of the result that is taken."""
        import ray

        ready = 2 * self.width
        sent = ray.put(packed(function))
        task = self._remote(work, num_cpus=self._threads)
        waiting: deque[Any] = deque()
        coming = iter(items)
        try:
            while True:
                for item in islice(coming, ready - len(waiting)):
                    waiting.append(task.remote(self._alike, sent.hex(), sent, item))
                if not waiting:
                    return
                yield self._result(waiting.popleft())
        finally:
            for each in waiting if ray.is_initialized() else ():
                ray.cancel(each)

    def everywhere(self, function: Callable[[], Result]) -> Iterator[tuple[str, Result]]:
        """Machines that have no processors for tasks are left out."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        asked = []
        for node in _nodes():
            if node["Resources"].get("CPU", 0) >= self._threads:
                task = self._remote(
                    look, num_cpus=0, scheduling_strategy=On(node["NodeID"], soft=False)
                )
                asked.append((_name(node), task.remote(self._alike, function)))
        for name, reference in asked:
            yield name, self._result(reference, name)

    def _remote(self, function: Callable[..., Any], **options: Any) -> Any:
        import ray

        return ray.remote(max_retries=RETRIES, **options)(function)

    def _result(self, reference: Any, machine: str | None = None) -> Any:
        """What a task gives, or raises; of one that cannot be had, why."""
        import ray

        try:
            while not ray.wait([reference], timeout=PATIENCE)[0]:
                self.require_machines()
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error, machine or self._address) from error
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"the cluster lost a task again and again: {first_line(error)}",
                where=machine or self._address,
                mend="see Ray's logs there (too little memory?); the same command goes on",
            ) from error


def _nodes() -> list[Mapping[str, Any]]:
    import ray

    return [each for each in ray.nodes() if each["Alive"]]


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _cause(error: Any, where: str) -> BaseException:
    """What a task raised; where it was one of the cluster's own failures, with its place."""
    from ray.exceptions import RaySystemError

    cause: BaseException = error.cause
    if isinstance(cause, ClusterError):
        return ClusterError(cause.what, where=where, mend=cause.mend)
    if isinstance(cause, VlmforgeError):
        return cause
    if isinstance(cause, (ImportError, RaySystemError)) or "failed to import" in str(cause):
        return ClusterError(
            f"a machine of the cluster has no vlmforge, or another: {first_line(cause)}",
            where=where,
            mend="install the same there as here, and start Ray there again",
        )
    return cause


def first_line(error: BaseException) -> str:
    """What an error of Ray says, without what it goes on to explain."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
