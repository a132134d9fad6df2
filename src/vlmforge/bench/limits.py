"""Limits: what this machine can do at best, measured.

python -m vlmforge.bench.limits THREADS
"""

from __future__ import annotations

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


def measure(threads: int) -> Limits:
    """Measure with so many threads, in this process."""
    try:
        from vlmforge import _native
    except ImportError:
        return Limits(None, None)
    bandwidth, peak = _native.read_bandwidth(threads), _native.int8_peak(threads)
    return Limits(bandwidth or None, peak or None)


def measure_apart(threads: int) -> Limits:
    """Measure in a process of its own, so that this one's memory stays as it is.

    Raises:
        RunError: the process failed.
    """
    command = [sys.executable, "-m", "vlmforge.bench.limits", str(threads)]
    modules = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": modules}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RunError(f"the machine's limits cannot be measured: {done.stderr.strip()[-500:]}")
    return Limits(**json.loads(done.stdout))


def _larger(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return max(known) if known else None


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))
