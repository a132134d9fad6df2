"""The pretended device computes what the CPU does, and refuses what a GPU refuses.

A device is there for the rest of its process, and has gradients only if none were computed before.
So these tests run in a process of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from tests.gpu.pretended import NAME, pretend

ALONE = "PRETENDED_ALONE"
"""Set in the process that has the device."""

alone = pytest.mark.skipif(ALONE not in os.environ, reason="runs in a process of its own")


def test_in_a_process_of_its_own() -> None:
    if ALONE in os.environ:
        return
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", __file__]
    ended = subprocess.run(
        command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0 and "4 passed" in ended.stdout, ended.stdout


@pytest.fixture(scope="module")
def place() -> torch.device:
    return pretend()


@alone
def test_it_computes(place: torch.device) -> None:
    values = torch.arange(6.0).reshape(2, 3)
    moved = values.to(place)
    assert moved.device.type == NAME and (moved @ moved.T).device.type == NAME
    assert torch.equal((moved @ moved.T).cpu(), values @ values.T)
    assert torch.equal(moved.T.reshape(-1)[1:].cpu(), values.T.reshape(-1)[1:])
    copy = moved.clone()
    copy[:, 1] += 1
    assert torch.equal(copy.cpu(), values + torch.tensor([0, 1, 0]))
    assert torch.equal(moved.cpu(), values)
    assert moved.sum().item() == 15 and torch.equal((moved + torch.tensor(1)).cpu(), values + 1)


@alone
def test_it_has_gradients(place: torch.device) -> None:
    found = []
    for where in (torch.device("cpu"), place):
        leaf = torch.linspace(0, 1, 6).to(where).requires_grad_()
        loss = torch.log_softmax(leaf * leaf, -1)[2]
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert gradient.device.type == where.type
        found.append(gradient.cpu())
    assert torch.allclose(*found)


@alone
def test_values_of_two_devices_are_refused(place: torch.device) -> None:
    here, there = torch.ones(2), torch.ones(2).to(place)
    for mixed in (lambda: here + there, lambda: torch.cat([there, here]), lambda: here @ there):
        with pytest.raises(RuntimeError, match=f"on {NAME} and on the CPU"):
            mixed()
    with pytest.raises(RuntimeError, match="aten::index"):
        here[torch.zeros(1, dtype=torch.int64).to(place)]
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
