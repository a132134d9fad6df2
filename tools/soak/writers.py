"""Writers that are killed, or meet a full disk: what they leave is the old file or the new one."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from soak.kind import Case
from vlmforge.errors import VlmforgeError

PLAN = "plan.json"
ROWS = 20_000
MODEL = "1" * 64


def _write_embedding(directory: Path, value: int) -> None:
    from vlmforge.formats.package import write_embeddings

    rows = (np.full((1000, 4), value, np.float32) for _ in range(ROWS // 1000))
    facts = {"rotation": "none", "model_fingerprint": MODEL}
    write_embeddings(directory / "model.safetensors", rows, (ROWS, 4), facts)


def _read_embedding(directory: Path) -> int:
    from vlmforge.formats.tensor_file import TensorFile

    (array,) = TensorFile.open(directory / "model.safetensors").arrays.values()
    assert array.shape == (ROWS, 4) and (array == array[0, 0]).all(), "half of it was written"
    return int(array[0, 0])


def _write_container(directory: Path, value: int) -> None:
    from vlmforge.formats.container import ContainerWriter

    with ContainerWriter(directory / "a.mxq", "mxq") as writer:
        for number in range(8):
            writer.add(f"t{number}", np.full(10_000, value, np.int64))
        writer.finish({})


def _read_container(directory: Path) -> int:
    from vlmforge.formats.container import Container

    arrays = Container.open(directory / "a.mxq", "mxq").arrays.values()
    values = {int(value) for array in arrays for value in array}
    assert len(values) == 1, "half of it was written"
    return values.pop()


def _write_rotation(directory: Path, value: int) -> None:
    import torch

    from vlmforge.formats.rotation import Rotation, write_rotation

    matrix = torch.eye(64, dtype=torch.float64) * (1 - 2 * (value % 2))
    path = directory / "global_rotation.pth"
    write_rotation(path, Rotation.of(matrix), model="a", model_fingerprint=MODEL)


def _read_rotation(directory: Path) -> int:
    from vlmforge.formats.torchscript import read_tensor

    matrix = read_tensor((directory / "global_rotation.pth").read_bytes(), "0")
    json.loads((directory / "global_rotation.json").read_bytes())
    return 0 if matrix[0, 0] > 0 else 1


PARTS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], int]]] = {
    "embedding": (_write_embedding, _read_embedding),
    "container": (_write_container, _read_container),
    "rotation": (_write_rotation, _read_rotation),
}


class Writers:
    """A process that writes is killed or runs out of disk, and the next one writes again."""

    name, share = "writers", 1.0

    def prepare(self, directory: Path) -> None:
        _write_rotation(directory, 0)  # torch is loaded before processes part

    def make(self, rng: random.Random) -> Case:
        plan: dict[str, Any] = {"part": rng.choice(sorted(PARTS))}
        if rng.random() < 0.5:
            plan["bytes"] = int(2 ** rng.uniform(0, 20))
        else:
            plan["seconds"] = 10 ** rng.uniform(-4.5, -1.5)
        return {PLAN: json.dumps(plan).encode()}

    def attempt(self, case: Case, directory: Path) -> None:
        plan = json.loads(case[PLAN])
        write, read = PARTS[plan["part"]]
        write(directory, 0)
        whole = sorted(path.name for path in directory.iterdir())
        report = directory.with_name(f"{directory.name}-report")
        child = os.fork()
        if child == 0:
            _write_and_exit(write, directory, plan.get("bytes"), report)
        if "seconds" in plan:
            time.sleep(plan["seconds"])
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told = report.read_text() if report.exists() else ""
        report.unlink(missing_ok=True)
        assert not told, f"the writer failed with\n{told}"
        assert read(directory) in (0, 1), "neither the old file nor the new one"
        write(directory, 1)
        assert read(directory) == 1, "it could not be written again"
        left = sorted(path.name for path in directory.iterdir())
        assert left == whole, f"{set(left) - set(whole)} was left behind"


def _write_and_exit(
    write: Callable[[Path, int], None], directory: Path, most: int | None, report: Path
) -> None:
    """Write in a process of its own, with so many bytes a file at most."""
    if most is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        write(directory, 1)
    except VlmforgeError:
        pass
    except BaseException:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        report.write_text(traceback.format_exc())
    finally:
        os._exit(0)
