"""Requests that schemathesis makes of a server's own description: none may be answered by a 500.

    python benchmarks/serving/fuzz.py PACKAGE [--examples 100] [--seed 0]

schemathesis must be installed: pip install schemathesis
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.process import Server

LENGTH = "1024"
"""Most tokens of a conversation, so that no answer takes long."""


def main() -> None:
    """Read the command line, serve and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with Server(options.package, "--max-length", LENGTH) as server:
        command = ["schemathesis", "run", f"{server.address}/openapi.json"]
        command += ["--checks", "not_a_server_error", "--request-timeout", "60"]
        command += ["--max-examples", str(options.examples), "--seed", str(options.seed)]
        sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
