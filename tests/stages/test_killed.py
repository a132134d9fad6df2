"""Killed at any moment, or out of disk, a compilation goes on to the bytes of a whole run.

``make kill`` tries ``KILLS`` (100) moments of the bundled sample's compile; ``KILL_MODEL`` names
another checkpoint, ``KILL_PLACE`` a directory to compile in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS, SEED = int(os.environ.get("KILLS", "4")), os.environ.get("KILL_SEED", "0")


@pytest.mark.skipif(sys.platform == "win32", reason="processes do not part on Windows")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    place = Path(os.environ.get("KILL_PLACE") or tmp_path) / "killed"
    command = [sys.executable, "-m", "tests.stages.killed", str(place)]
    model = os.environ.get("KILL_MODEL", "")
    command += [str(KILLS), SEED, *([model] if model else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["failures"], found["failures"]
    assert found["same"] and not found["left"] and not found["repeated"], found
    assert sum(found["ends"].values()) == KILLS and found["ends"].get("killed", 0)
    assert not [end for end in found["ends"] if end.startswith("failed")], found
    assert len(found["pieces"]) == 2, "batches were answered and weights were rounded"
    print(found["ends"])
