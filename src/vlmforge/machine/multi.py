"""MultiMachine: the requests of a batch side by side, each on one core."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vlmforge.machine.cache import Cache
from vlmforge.machine.machine import Machine, Trace
from vlmforge.machine.request import Request, require_own_caches, unchanged_on_failure


class MultiMachine:
    """Gives each core a share of a batch; see :class:`vlmforge.machine.machine.Machine`.

    Args:
        machine: runs the shares, in one thread each.
        cores: most shares that run at the same time.
    """

    def __init__(self, machine: Machine, cores: int) -> None:
        self.machine, self.cores = machine, cores
        self.program = machine.program
        self._pool, self._process = _pool(cores), os.getpid()

    def new_cache(self, capacity: int) -> Cache:
        """See :meth:`vlmforge.machine.machine.Machine.new_cache`."""
        return self.machine.new_cache(capacity)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> dict[str, np.ndarray]:
        """See :meth:`vlmforge.machine.machine.Machine.run`; on one core."""
        return self.machine.run(inputs, cache, trace)

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        """See :meth:`vlmforge.machine.machine.Machine.run_batch`."""
        require_own_caches(requests)
        outputs: list[dict[str, np.ndarray]] = [{} for _ in requests]
        shares = divide([_size(request) for request in requests], self.cores)

        def run_share(share: list[int]) -> None:
            results = self.machine.run_batch([requests[index] for index in share])
            for index, result in zip(share, results, strict=True):
                outputs[index] = result

        if self._process != os.getpid():  # forked: the pool's threads stay behind in the parent
            self._pool, self._process = _pool(self.cores), os.getpid()
        with unchanged_on_failure(requests):
            running = [self._pool.submit(run_share, share) for share in shares]
            failures = [future.exception() for future in running]
            for failure in filter(None, failures):
                raise failure
        return outputs


def _pool(cores: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores, thread_name_prefix="vlmforge-core")


def divide(sizes: Sequence[int], shares: int) -> list[list[int]]:
    """Indexes of sizes in at most ``shares`` lists of nearly the same sum.

    The largest goes first, always to the list with the least (Graham's LPT rule).
    """
    lists: list[list[int]] = [[] for _ in range(min(shares, len(sizes)))]
    sums = [0] * len(lists)
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        least = sums.index(min(sums))
        lists[least].append(index)
        sums[least] += sizes[index]
    return lists


def _size(request: Request) -> int:
    return max((array.size for array in request.inputs.values()), default=0)
