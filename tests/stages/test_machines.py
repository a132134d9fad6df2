"""A compilation on many machines leaves the bytes of one on this machine."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.clusters import local_cluster
from tests.tasks.copies import Copies
from vlmforge.errors import ClusterError, InstallError, SourceError
from vlmforge.libraries import CLUSTERS
from vlmforge.pipeline import Summary, compile_model
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.machines import machine_facts, machines, require_seen
from vlmforge.tasks.here import HERE

lacking = CLUSTERS[0].lack()
with_ray = pytest.mark.skipif(lacking is not None, reason="make ray installs Ray")


@pytest.fixture
def model(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "Tiny-VL"))


def compiled(model: Path, out: Path, **options: Any) -> Summary:
    asked = {"images": "synthetic", "num_samples": 40, "max_new_tokens": 6, **options}
    return compile_model(model, out, **asked)


def bits(package: Path) -> dict[str, str]:
    """SHA-256 of the files of a package."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in package.glob("*.*")
    }


def test_without_an_address_this_machine_computes() -> None:
    with machines(None, "gpu") as tasks:
        assert tasks is HERE


def test_a_cluster_computes_on_processors() -> None:
    with pytest.raises(ClusterError, match="device is gpu"), machines("auto", "gpu"):
        pass


@pytest.mark.skipif(lacking is None, reason="Ray is installed")
def test_without_ray_its_extra_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"--ray needs .*: ray") as caught:
        compiled(model, tmp_path / "out", ray="auto")
    assert caught.value.mend == "pip install 'vlmforge[ray]'"
    assert not (tmp_path / "out").exists()


def test_machines_are_compared_by_what_bytes_follow_from() -> None:
    facts = machine_facts()
    assert "torch" in facts["set of libraries"] and facts["native machine"] in (
        "built",
        "not built",
    )


def test_a_checkpoint_that_machines_do_not_see_is_refused(model: Path) -> None:
    checkpoint = Checkpoint.open(str(model))
    require_seen(Copies(), checkpoint)
    checkpoint.fingerprint()
    with (model / "config.json").open("a") as file:
        file.write(" ")
    for seen in ("another checkpoint", "no checkpoint"):
        with pytest.raises(SourceError, match=seen) as caught:
            require_seen(Copies(), checkpoint)
        assert str(caught.value.where) == f"{model} on there"
        (model / "config.json").unlink(missing_ok=True)


@with_ray
@pytest.mark.parametrize("when", ["language samples", "quantizing the language model"])
def test_bytes_are_the_same_though_a_machine_is_lost(
    when: str, model: Path, tmp_path: Path
) -> None:
    compiled(model, tmp_path / "here")
    with local_cluster(2) as (cluster, workers):

        def lose_one(text: str, done: int, total: int) -> None:
            if text == when and len(workers) == 2:
                cluster.remove_node(workers.pop(), allow_graceful=False)

        compiled(model, tmp_path / "there", ray=cluster.address, progress=lose_one)
    assert len(workers) == 1
    assert bits(tmp_path / "there") == bits(tmp_path / "here")
    assert compiled(model, tmp_path / "there").seconds == {}
