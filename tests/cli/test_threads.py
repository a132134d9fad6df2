"""Torch's threads and ours take turns on the processors, unless the user says otherwise."""

from __future__ import annotations

import os

import pytest

from vlmforge.cli.threads import SPINS, share_processors


@pytest.mark.parametrize(("set_before", "found"), [(None, SPINS[1]), ("7", "7")])
def test_idle_threads_of_torch_sleep_soon(
    monkeypatch: pytest.MonkeyPatch, set_before: str | None, found: str
) -> None:
    monkeypatch.setenv(SPINS[0], set_before or "")
    if set_before is None:
        monkeypatch.delenv(SPINS[0])

    share_processors()

    assert os.environ[SPINS[0]] == found
