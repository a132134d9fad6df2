"""Run a command and print the peak of its private and of its resident memory.

    python benchmarks/memory.py vlmforge compile MODEL --out OUT

Private memory (``RssAnon``) is what the process itself has written; resident memory (``VmRSS``)
counts pages mapped from files too, which the system can drop and read again. Both are read from
``/proc/PID/status`` a hundred times a second, so this runs on Linux alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

FIELDS = {"private": "RssAnon", "resident": "VmRSS"}
INTERVAL = 0.01


def status(pid: int) -> dict[str, int]:
    """The memory of a process in bytes; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except FileNotFoundError:
        return {}
    values = dict(line.split(":", 1) for line in lines)
    return {
        name: int(values[field].split()[0]) * 1024
        for name, field in FIELDS.items()
        if field in values
    }


def peaks(command: list[str]) -> dict[str, int]:
    """Run a command; the largest memory seen, in bytes, and its exit status."""
    process = subprocess.Popen(command)
    found = dict.fromkeys(FIELDS, 0)
    while process.poll() is None:
        for name, size in status(process.pid).items():
            found[name] = max(found[name], size)
        time.sleep(INTERVAL)
    return {**found, "status": process.returncode}


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(json.dumps(peaks(sys.argv[1:])))


if __name__ == "__main__":
    main()
