"""Limits: what this machine can do at best, measured.

python -m vlmforge.bench.limits THREADS

prints a measurement for every line it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

from vlmforge.errors import RunError


@dataclass(frozen=True)
class Limits:
    """The speed of memory and of integer products.

    Attributes:
        read_bandwidth: bytes a second that the threads together read from memory, None without the
            native machine.
        int8_peak: int8 multiplications and additions a second of the widest dot-product
            instruction here, None without one.
    """

    read_bandwidth: float | None
    int8_peak: float | None

    def best(self, other: Limits) -> Limits:
        """The larger value of each of two measurements."""
        return Limits(
            _larger(self.read_bandwidth, other.read_bandwidth),
            _larger(self.int8_peak, other.int8_peak),
        )

    def mean(self, other: Limits) -> Limits:
        """The mean of two measurements; None where either is."""
        return Limits(
            _mean(self.read_bandwidth, other.read_bandwidth),
            _mean(self.int8_peak, other.int8_peak),
        )


def measure(threads: int) -> Limits:
    """Measure with so many threads, in this process."""
    try:
        from vlmforge import _native
    except ImportError:
        return Limits(None, None)
    bandwidth, peak = _native.read_bandwidth(threads), _native.int8_peak(threads)
    return Limits(bandwidth or None, peak or None)


class Probe:
    """A process beside this one that measures when asked, so that this one's memory stays as it is.

    Use it as a context manager; the process ends with it.
    """

    def __init__(self, threads: int) -> None:
        command = [sys.executable, "-m", "vlmforge.bench.limits", str(threads)]
        modules = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "PYTHONPATH": modules}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, text=True, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
        )

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def measure(self) -> Limits:
        """What the machine can do at this moment.

        Raises:
            RunError: the process failed.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            reason = self._process.stderr.read().strip()[-500:]
            raise RunError(
                f"the machine's limits cannot be measured: {reason}",
                mend="close other programs and try again; `vlmforge doctor` says what is there",
            )
        return Limits(**json.loads(line))


def _mean(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else (first + second) / 2


def _larger(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return max(known) if known else None


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(asdict(measure(int(sys.argv[1])))), flush=True)
